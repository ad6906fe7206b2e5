from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from clary.errors import DataError, UsageError
from clary.vision.datasets.splits import cut_splits

SHARES = {"valid": 0.15, "test": 0.15}

counts = st.lists(st.integers(2, 40), min_size=1, max_size=6)
fractions = st.tuples(st.floats(0.01, 0.45), st.floats(0.01, 0.45)).map(
    lambda pair: {"valid": pair[0], "test": pair[1]}
)


@examples(deadline=None)
@given(counts, fractions, st.integers(0, 2**32 - 1))
def test_every_picture_is_in_one_split_and_every_class_in_train(sizes, shares, seed):
    labels = np.random.default_rng(1).permutation(np.repeat(np.arange(len(sizes)), sizes))
    parts = cut_splits(labels, shares, seed)
    assert sorted(np.concatenate(list(parts.values()))) == list(range(len(labels)))
    train = np.bincount(labels[parts["train"]], minlength=len(sizes))
    valid = np.bincount(labels[parts["valid"]], minlength=len(sizes))
    assert train.min() >= 1
    assert valid.min() >= 1
    for name, share in shares.items():
        part = np.bincount(labels[parts[name]], minlength=len(sizes))
        asked = np.array(sizes) * share
        # Large enough classes are divided to the nearest picture.
        large = np.array(sizes) * min(1 - sum(shares.values()), *shares.values()) >= 2
        assert np.all(np.abs(part - asked)[large] <= 0.5 + 1e-9)


@examples(deadline=None)
@given(counts, st.integers(0, 2**32 - 1))
def test_the_same_seed_cuts_the_same(sizes, seed):
    labels = np.repeat(np.arange(len(sizes)), sizes)
    first, second = (cut_splits(labels, SHARES, seed) for _ in range(2))
    assert all(np.array_equal(first[name], second[name]) for name in first)


def test_another_seed_cuts_otherwise():
    labels = np.repeat([0, 1], 100)
    first, second = (cut_splits(labels, SHARES, seed)["valid"] for seed in (0, 1))
    assert not np.array_equal(first, second)


@examples(deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 15)), min_size=20, max_size=200),
    st.integers(0, 99),
)
def test_groups_never_come_apart(pairs, seed):
    labels = np.array([label for label, _ in pairs])
    groups = [f"g{group}" for _, group in pairs]
    assume(len(set(groups)) >= 3)
    try:
        parts = cut_splits(labels, SHARES, seed, groups)
    except DataError as error:
        assert "groups leave no picture" in str(error)
        return
    assert sorted(np.concatenate(list(parts.values()))) == list(range(len(labels)))
    seen = [{groups[index] for index in part} for part in parts.values()]
    assert sum(map(len, seen)) == len(set(groups))
    assert set(labels[parts["train"]]) == set(labels)


def test_groups_are_divided_evenly_over_the_classes():
    rng = np.random.default_rng(3)
    groups = [f"patient{number}" for number in range(120) for _ in range(rng.integers(1, 9))]
    by_group = {group: int(rng.integers(0, 3)) for group in sorted(set(groups))}
    labels = np.array([by_group[group] for group in groups])
    parts = cut_splits(labels, SHARES, 0, groups)
    total = np.bincount(labels)
    for name, share in {"train": 0.7, **SHARES}.items():
        assert np.abs(np.bincount(labels[parts[name]]) / total - share).max() < 0.05


def test_a_single_picture_cannot_be_divided():
    with pytest.raises(DataError, match=r"class owl .and 1 other classes. has a single picture"):
        cut_splits(np.array([0, 1, 1, 2]), SHARES, 0, class_names=["owl", "cat", "dog"])


def test_too_few_groups_are_said():
    with pytest.raises(DataError, match=r"form 2 group\(s\), and train, valid, test need one"):
        cut_splits(np.array([0, 1, 0, 1]), SHARES, 0, ["a", "b", "a", "b"])
    with pytest.raises(DataError, match="leave no picture for valid and test"):
        cut_splits(np.array([0, 1, 2]), SHARES, 0, ["a", "b", "c"])


@pytest.mark.parametrize("shares", [{"valid": 0.6, "test": 0.4}, {"valid": -0.1}, {"valid": 1.0}])
def test_shares_that_leave_nothing_are_refused(shares):
    with pytest.raises(UsageError, match="leave nothing to train on"):
        cut_splits(np.array([0, 0, 1, 1]), shares, 0)
