"""Whether a series of memory grows for good: robust against steps, noise and warming up."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from clary.profiler.readings import Samples

_MOST_POINTS = 200
_WARMING = 0.25
"""This part of a series warms up: caches fill, allocators grow."""
_LEAST_POINTS = 12
_PARTS = 4
_STEADY = 0.2
_OVER_NOISE = 2.0
_TO_DEVIATION = 1.4826


@dataclass(frozen=True)
class Growth:
    """A series grows by `per_s` of its unit a second, steadily, `seconds` long so far."""

    per_s: float
    seconds: float
    level: float
    """At the end."""

    @property
    def risen(self) -> float:
        """By how much it has grown in the time that was looked at."""
        return self.per_s * self.seconds


def growth(samples: Samples) -> Growth | None:
    """How a series grows; None where it does not, or not steadily.

    The first quarter is left out. The slope is Theil and Sen's: the median over the slopes of all
    pairs (of 200 medians of equal stretches at most). It is steady where each quarter of what is
    left has risen by a fifth of its part at least, in medians of stretches: a cache that fills
    and is full does not count, nor one jump. It must rise by twice its noise, too: by twice 1.4826
    times the median absolute distance from the line.
    """
    times, values = samples
    if len(times) < _LEAST_POINTS:
        return None
    begin = times[0] + _WARMING * (times[-1] - times[0])
    kept = times >= begin
    times, values = times[kept], values[kept]
    if len(times) < _LEAST_POINTS * (1 - _WARMING):
        return None
    times, values = _thinned(times, values)
    first, second = np.triu_indices(len(times), k=1)
    apart = times[second] - times[first]
    usable = apart > 0
    slopes = (values[second] - values[first])[usable] / apart[usable]
    slope = float(np.median(slopes)) if len(slopes) else 0.0
    seconds = float(times[-1] - times[0])
    if slope <= 0 or not seconds:
        return None
    distances = values - slope * times
    noise = _TO_DEVIATION * float(np.median(np.abs(distances - np.median(distances))))
    if slope * seconds < _OVER_NOISE * noise:
        return None
    edges = np.linspace(times[0], times[-1], _PARTS + 1)
    levels = [_level(times, values, edge, 0.5 * seconds / _PARTS) for edge in edges]
    if any(rise < _STEADY * slope * seconds / _PARTS for rise in np.diff(levels)):
        return None
    return Growth(slope, seconds, float(values[-1]))


def _thinned(times: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if len(times) <= _MOST_POINTS:
        return times, values
    parts = np.array_split(np.arange(len(times)), _MOST_POINTS)
    return (
        np.asarray([times[part].mean() for part in parts]),
        np.asarray([np.median(values[part]) for part in parts]),
    )


def _level(times: np.ndarray, values: np.ndarray, at: float, width: float) -> float:
    near = np.abs(times - at) <= width / 2
    return float(np.median(values[near])) if near.any() else float(np.interp(at, times, values))
