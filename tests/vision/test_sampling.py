from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from clary.vision.sampling import balanced_weights, epoch_order, shard_length

counts = st.integers(1, 200)
worlds = st.integers(1, 5)


@given(count=counts, world=worlds, epoch=st.integers(0, 50))
def test_training_shares_are_equally_long_and_cover_everything(count, world, epoch):
    shares = [
        epoch_order(count, seed=1, epoch=epoch, shuffle=True, rank=rank, world_size=world)
        for rank in range(world)
    ]
    assert len({len(share) for share in shares}) == 1
    assert len(shares[0]) == shard_length(count, padded=True, rank=0, world_size=world)
    together = np.concatenate([share.indices for share in shares])
    assert set(together) == set(range(count))


@given(count=counts, world=worlds)
def test_evaluation_visits_each_picture_once(count, world):
    shares = [
        epoch_order(count, seed=1, epoch=0, shuffle=False, rank=rank, world_size=world)
        for rank in range(world)
    ]
    together = np.concatenate([share.indices for share in shares])
    assert sorted(together) == list(range(count))
    for rank, share in enumerate(shares):
        assert len(share) == shard_length(count, padded=False, rank=rank, world_size=world)


def test_the_order_is_a_function_of_seed_and_epoch():
    def order(seed: int, epoch: int) -> list[int]:
        return epoch_order(50, seed=seed, epoch=epoch, shuffle=True).indices.tolist()

    assert order(1, 2) == order(1, 2)
    assert order(1, 2) != order(1, 3)
    assert order(1, 2) != order(2, 2)


def test_weights_balance_the_classes():
    labels = np.array([0] * 900 + [1] * 90 + [2] * 10, dtype=np.int64)
    drawn = [
        epoch_order(1000, seed=0, epoch=e, shuffle=True, weights=balanced_weights(labels)).indices
        for e in range(5)
    ]
    shares = np.bincount(labels[np.concatenate(drawn)]) / 5000
    assert np.all(np.abs(shares - 1 / 3) < 0.03)


@given(count=st.integers(1, 60), seed=st.integers(0, 100))
def test_occurrences_number_the_copies_of_a_picture(count, seed):
    weights = np.random.default_rng(seed).uniform(0.1, 3, count)
    order = epoch_order(count, seed=seed, epoch=1, shuffle=True, weights=weights)
    seen: dict[int, int] = {}
    for index, occurrence in zip(order.indices.tolist(), order.occurrences.tolist(), strict=True):
        assert occurrence == seen.get(index, 0)
        seen[index] = occurrence + 1
