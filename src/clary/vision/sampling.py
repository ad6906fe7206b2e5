"""In which order an epoch visits the pictures: a pure function of seed and epoch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Indices = npt.NDArray[np.int64]
Weights = npt.NDArray[np.float64]

# Keeps the order's randomness apart from that of the augmentations, which use the same seed.
ORDER_STREAM = 0x0DDE


@dataclass(frozen=True)
class Order:
    """What one process visits: positions in the split, and which draw of that picture it is."""

    indices: Indices
    occurrences: Indices

    def __len__(self) -> int:
        return len(self.indices)


def epoch_order(
    count: int,
    *,
    seed: int,
    epoch: int,
    shuffle: bool,
    weights: Weights | None = None,
    rank: int = 0,
    world_size: int = 1,
) -> Order:
    """The order of one epoch for one of `world_size` processes.

    When shuffled (training), every process gets the same number of pictures: the order is
    lengthened by its own beginning where `count` does not divide. Otherwise (evaluation) each
    picture is visited by exactly one process. With `weights` of shape (count,), pictures are
    drawn with replacement, each in proportion to its weight.
    """
    rng = np.random.default_rng([seed, epoch, ORDER_STREAM])
    if weights is not None:
        drawn = rng.choice(count, size=count, replace=True, p=weights / weights.sum())
        order = drawn.astype(np.int64)
    elif shuffle:
        order = rng.permutation(count).astype(np.int64)
    else:
        order = np.arange(count, dtype=np.int64)
    if (shuffle or weights is not None) and count % world_size:
        order = np.resize(order, count + world_size - count % world_size)
    occurrences = np.zeros_like(order) if weights is None else _occurrences(order)
    return Order(order[rank::world_size], occurrences[rank::world_size])


def shard_length(count: int, *, padded: bool, rank: int, world_size: int) -> int:
    """How many pictures `epoch_order` gives to a process."""
    if padded:
        return -(-count // world_size)
    return (count - rank + world_size - 1) // world_size


def balanced_weights(labels: Indices) -> Weights:
    """Weights of shape (N,) under which every class is drawn equally often."""
    counts = np.bincount(labels)
    weights: Weights = 1.0 / counts[labels]
    return weights


def _occurrences(order: Indices) -> Indices:
    """For each entry, how many equal ones come before it."""
    by_value = np.argsort(order, kind="stable")
    values = order[by_value]
    starts = np.concatenate(([0], np.flatnonzero(np.diff(values)) + 1))
    lengths = np.diff(np.concatenate((starts, [len(order)])))
    within = np.arange(len(order)) - np.repeat(starts, lengths)
    occurrences = np.empty_like(order)
    occurrences[by_value] = within
    return occurrences
