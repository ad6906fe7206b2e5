"""Long series in few points: what was lowest, highest and the mean of each stretch of time.

A day at two samples a second is 172,800 values; a screen has some hundred columns. Taking every
so-manieth value would lose the one second that matters, so each column keeps its extremes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

BINS = 400
"""How many stretches a figure over time has."""

# Pauses longer than so many usual ones are drawn as gaps.
_PAUSES = 4.0


@dataclass(frozen=True)
class Window:
    """The time that figures share, in seconds since 1970."""

    start_s: float
    end_s: float

    @property
    def seconds(self) -> float:
        """How long it is; never 0."""
        return max(self.end_s - self.start_s, 1e-3)

    def share(self, moment_s: float) -> float:
        """Where a moment lies: 0 at the start, 1 at the end, nothing outside."""
        return min(max((moment_s - self.start_s) / self.seconds, 0.0), 1.0)


@dataclass(frozen=True)
class Envelope:
    """A series by stretches of equal time; those without a value are left out.

    All arrays are (stretches with a value,). `at` is where the mean of the stretch's moments lies
    in the window (0 to 1), `bins` its number, and `breaks` whether the line is interrupted before
    it.
    """

    bins: npt.NDArray[np.int64]
    at: Floats
    low: Floats
    mean: Floats
    high: Floats
    breaks: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.at)


def envelope(
    times_s: Floats,
    values: Floats,
    window: Window,
    *,
    bins: int = BINS,
    weights: Floats | None = None,
) -> Envelope:
    """The extremes and means of a series.

    Args:
        times_s: (n,) moments in seconds since 1970, rising.
        values: (n,); those that are not finite are left out.
        window: what lies outside of it is left out.
        bins: how many stretches.
        weights: (n,) for the means; all alike without.
    """
    kept = np.isfinite(values) & (times_s >= window.start_s) & (times_s <= window.end_s)
    shares = (times_s[kept] - window.start_s) / window.seconds
    held = values[kept].astype(np.float64)
    if not len(held):
        empty = np.empty(0)
        return Envelope(np.empty(0, np.int64), empty, empty, empty, empty, np.empty(0, np.bool_))
    loads = np.ones(len(held)) if weights is None else weights[kept].astype(np.float64)
    numbers = np.minimum((shares * bins).astype(np.int64), bins - 1)
    starts = np.flatnonzero(np.concatenate([[True], np.diff(numbers) > 0]))
    total = np.maximum(np.add.reduceat(loads, starts), 1e-12)
    at = np.add.reduceat(shares, starts) / np.diff(np.append(starts, len(shares)))
    return Envelope(
        bins=numbers[starts],
        at=at,
        low=np.minimum.reduceat(held, starts),
        mean=np.add.reduceat(held * loads, starts) / total,
        high=np.maximum.reduceat(held, starts),
        breaks=_breaks(shares, starts, at, bins),
    )


def _breaks(
    shares: Floats, starts: npt.NDArray[np.int64], at: Floats, bins: int
) -> npt.NDArray[np.bool_]:
    usual = float(np.median(np.diff(shares))) if len(shares) > 1 else 0.0
    pause = max(_PAUSES * usual, 1.5 / bins)
    before = shares[np.maximum(starts - 1, 0)]
    return np.asarray((shares[starts] - before > pause) & (at > 0))


def coverage(stretches: Iterable[tuple[float, float]], window: Window, bins: int = BINS) -> Floats:
    """How much of each stretch of time is covered: (bins,) from 0 to 1.

    Args:
        stretches: (start, end) in seconds since 1970; they may overlap.
        window: the whole time.
        bins: how many stretches.
    """
    merged = merged_stretches(stretches)
    if not merged:
        return np.zeros(bins)
    pieces = np.clip((np.array(merged) - window.start_s) / window.seconds, 0.0, 1.0)
    edges = np.linspace(0.0, 1.0, bins + 1)
    starts, ends = pieces[:, 0], pieces[:, 1]
    done = np.concatenate([[0.0], np.cumsum(ends - starts)])
    # How much is covered up to an edge: whole pieces that ended, and the part of an open one.
    index = np.searchsorted(starts, edges, side="right")
    last = np.maximum(index - 1, 0)
    part = np.clip(edges - starts[last], 0.0, ends[last] - starts[last])
    upto = np.where(index > 0, done[last] + part, 0.0)
    return np.asarray(np.clip(np.diff(upto) * bins, 0.0, 1.0))


def merged_stretches(stretches: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    """Without overlaps, in order."""
    found: list[tuple[float, float]] = []
    for start, end in sorted(stretches):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        elif end > start:
            found.append((start, end))
    return found
