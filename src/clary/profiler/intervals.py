"""Stretches of time that may overlap: how long they are together, and how much of others they fill.

Times are in seconds since 1970.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


class Intervals:
    """The union of stretches of time."""

    def __init__(self, stretches: Iterable[tuple[float, float]]) -> None:
        """Of (begin, end) pairs in any order; they may overlap, and empty ones are left out."""
        joined: list[list[float]] = []
        for begin, end in sorted(one for one in stretches if one[1] > one[0]):
            if joined and begin <= joined[-1][1]:
                joined[-1][1] = max(joined[-1][1], end)
            else:
                joined.append([begin, end])
        pairs = np.asarray(joined, dtype=np.float64).reshape(-1, 2)
        self.begins: Floats = pairs[:, 0]
        self.ends: Floats = pairs[:, 1]
        self._knots = pairs.ravel()
        lengths = np.cumsum(self.ends - self.begins)
        self._until = np.stack([lengths - (self.ends - self.begins), lengths], axis=1).ravel()

    @property
    def total_s(self) -> float:
        """How long they are together."""
        return float((self.ends - self.begins).sum())

    def within(self, begins: Floats, ends: Floats) -> Floats:
        """How many seconds of each stretch from `begins` to `ends` (n) they fill."""
        if not len(self._knots):
            return np.zeros(len(begins))
        until = np.interp(ends, self._knots, self._until)
        return until - np.interp(begins, self._knots, self._until)

    def between(self, begin: float, end: float) -> float:
        """How many seconds from `begin` to `end` they fill."""
        return float(self.within(np.asarray([begin]), np.asarray([end]))[0])
