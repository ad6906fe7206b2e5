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

    def __init__(self, stretches: Iterable[tuple[float, float]] = ()) -> None:
        """Of (begin, end) pairs in any order; they may overlap, and empty ones are left out."""
        pairs = np.asarray(list(stretches), dtype=np.float64).reshape(-1, 2)
        self._join(pairs[:, 0], pairs[:, 1])

    @classmethod
    def of(cls, begins: Floats, ends: Floats) -> Intervals:
        """Of as many begins as ends (n)."""
        made = cls()
        made._join(begins, ends)
        return made

    def _join(self, begins: Floats, ends: Floats) -> None:
        some = ends > begins
        order = np.argsort(begins[some], kind="stable")
        begins, ends = begins[some][order], np.maximum.accumulate(ends[some][order])
        # A new stretch begins where all before it have ended.
        first = np.append(True, begins[1:] > ends[:-1]) if len(begins) else np.zeros(0, bool)
        self.begins: Floats = begins[first]
        self.ends: Floats = ends[np.append(first[1:], True)] if len(ends) else ends
        lengths = np.cumsum(self.ends - self.begins)
        self._knots = np.stack([self.begins, self.ends], axis=1).ravel()
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
        return np.asarray(until - np.interp(begins, self._knots, self._until), dtype=np.float64)

    def between(self, begin: float, end: float) -> float:
        """How many seconds from `begin` to `end` they fill."""
        return float(self.within(np.asarray([begin]), np.asarray([end]))[0])
