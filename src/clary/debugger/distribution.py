"""What an evenly spread sample of a tensor tells: how it changed, and how it is distributed.

A sample of 65,536 elements in 4,096 runs stands for the whole: the norm of a change is scaled by
the square root of the elements per sampled element. Its relative error is about
`1 / (2 √4096)` times the spread of the runs' squared changes, one or two per cent for weights
that learn; a change of a few elements in a large tensor may be missed.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from clary.formats.tensor_log.entries import Histogram

BINS = 64
Sample = npt.NDArray[np.generic]


class Updates:
    """Remembers a sample of each tensor. Owned by one thread."""

    def __init__(self) -> None:
        self._before: dict[str, Sample] = {}

    def norm(self, name: str, sample: Sample, size: int) -> float | None:
        """The norm of the change since the sample before; None for the first one.

        Args:
            name: the tensor's.
            sample: of its elements, or all of them.
            size: how many elements the tensor has.
        """
        before = self._before.get(name)
        self._before[name] = sample
        if before is None or before.shape != sample.shape:
            return None
        change = sample.astype(np.float64).ravel() - before.astype(np.float64).ravel()
        return math.sqrt(float(change @ change) * size / max(1, sample.size))


def histogram_of(sample: Sample, bins: int = BINS) -> Histogram | None:
    """How the finite elements of a sample are distributed; None when there are none."""
    values = sample.astype(np.float64).ravel()
    values = values[np.isfinite(values)]
    if not values.size:
        return None
    low, high = float(values.min()), float(values.max())
    if not math.isfinite(high - low):
        return None
    if low == high:
        return Histogram(low, high, (int(values.size),))
    counts, _ = np.histogram(values, bins=bins, range=(low, high))
    return Histogram(low, high, tuple(map(int, counts)))
