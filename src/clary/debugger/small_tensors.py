"""Statistics of many small tensors at once, from copies of them: on any thread, in numpy.

A network has more small tensors (norms, biases) than large ones; asking torch for five numbers of
each takes longer than copying them.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import torch

from clary.debugger.statistics import PLAIN, Wanted, statistics_of
from clary.formats.tensor_log.entries import Statistics

# Elements; copied with the step, reduced afterwards.
SMALL = 16_384
# Magnitudes whose squares, and sums of these, are doubles without loss.
SQUARES_FROM, SQUARES_UP_TO = 1e-140, 1e140
Elements = npt.NDArray[np.generic]


def statistics_of_small(
    tensors: Mapping[str, tuple[Elements, Wanted]],
) -> dict[str, Statistics]:
    """Of each tensor's elements (n), by name; sums are taken in double precision."""
    found: dict[str, Statistics] = {}
    plain: dict[str, npt.NDArray[np.float64]] = {}
    for name, (elements, wanted) in tensors.items():
        doubles = elements.astype(np.float64)
        if wanted == PLAIN and doubles.size and _ordinary(doubles):
            plain[name] = doubles
        else:
            found[name] = statistics_of(torch.from_numpy(doubles), wanted)
    if plain:
        found.update(_reduced(plain))
    return found


def _ordinary(values: npt.NDArray[np.float64]) -> bool:
    """Whether all are finite, and doubles hold the squares of the largest ones."""
    largest = max(abs(float(values.min())), abs(float(values.max())))  # NaN when one is
    return largest == 0 or SQUARES_FROM < largest < SQUARES_UP_TO


def _reduced(tensors: Mapping[str, npt.NDArray[np.float64]]) -> dict[str, Statistics]:
    sizes = np.array([len(elements) for elements in tensors.values()])
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    values = np.concatenate(list(tensors.values()))
    means = np.add.reduceat(values, starts) / sizes
    lows, highs = np.minimum.reduceat(values, starts), np.maximum.reduceat(values, starts)
    means = np.where(lows == highs, lows, means)
    centred = values - np.repeat(means, sizes)
    columns = [
        lows,
        highs,
        means,
        np.sqrt(np.add.reduceat(centred * centred, starts) / sizes),
        np.add.reduceat(np.abs(values), starts),
        np.sqrt(np.add.reduceat(values * values, starts)),
        np.add.reduceat((values == 0).astype(np.float64), starts),
    ]
    rows = zip(tensors, sizes.tolist(), *(column.tolist() for column in columns), strict=True)
    return {
        name: Statistics(
            size,
            zeros=int(zeros),
            nans=0,
            infs=0,
            min=low,
            max=high,
            mean=mean,
            std=std,
            l1=l1,
            l2=l2,
        )
        for name, size, low, high, mean, std, l1, l2, zeros in rows
    }
