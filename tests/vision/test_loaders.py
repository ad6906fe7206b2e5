from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
import pytest
import torch

from clary.errors import UnreadablePicture
from clary.formats.preprocessing import Preprocessing
from clary.vision.geometry import EvaluationTransform
from clary.vision.loaders import BatchLoader
from clary.vision.transforms import TrainingTransform

PREPROCESSING = Preprocessing(image_size=24, resize_size=28)


def loader(split, *, augmentation="standard", **options):
    options = {"batch_size": 5, "seed": 1, "shuffle": True, "workers": 2} | options
    return BatchLoader(split, TrainingTransform(PREPROCESSING, augmentation), **options)


def picture_threads() -> list[threading.Thread]:
    return [t for t in threading.enumerate() if t.name.startswith("clary-pictures")]


def as_lists(batches):
    return [(b.indices.tolist(), b.labels.tolist(), b.images.numpy().tobytes()) for b in batches]


def test_an_epoch_covers_the_split(make_split):
    split = make_split(23)
    batches = list(loader(split).batches(1))
    assert [len(batch) for batch in batches] == [5, 5, 5, 5, 3]
    assert len(loader(split)) == 5
    assert sorted(np.concatenate([batch.indices for batch in batches])) == list(range(23))
    for batch in batches:
        assert batch.images.dtype == torch.uint8 and batch.images.shape[1:] == (24, 24, 3)
        assert batch.labels.tolist() == split.labels[batch.indices].tolist()


def test_any_number_of_threads_and_any_restart_give_the_same_batches(make_split):
    split = make_split(23)
    reference = as_lists(loader(split, workers=1).batches(3))
    assert as_lists(loader(split, workers=4).batches(3)) == reference
    assert as_lists(loader(split).batches(3, start=2)) == reference[2:]
    assert as_lists(loader(split).batches(4)) != reference


def test_a_view_shows_the_same_pictures_in_every_epoch(make_split):
    def by_index(epoch, view):
        batches = loader(make_split(11)).batches(epoch, view=view)
        return {
            int(i): p.numpy().tobytes()
            for b in batches
            for i, p in zip(b.indices, b.images, strict=True)
        }

    assert by_index(1, 2) == by_index(5, 2)
    assert by_index(1, 2) != by_index(1, 1)
    plain = EvaluationTransform(PREPROCESSING)
    decoded = BatchLoader(make_split(11), plain, batch_size=11, seed=0, shuffle=False)
    expected = next(iter(decoded.batches(0))).images
    assert by_index(3, 0) == {i: expected[i].numpy().tobytes() for i in range(11)}


def test_copies_drawn_by_a_sampler_are_augmented_differently(make_split):
    weights = np.full(6, 1e-9)
    weights[2] = 1.0
    batch = next(iter(loader(make_split(6), batch_size=6, weights=weights).batches(1)))
    assert set(batch.indices) == {2}
    assert len({picture.numpy().tobytes() for picture in batch.images}) > 3


@pytest.mark.parametrize("drop_last", [False, True])
def test_a_small_last_batch_is_left_out_on_request_but_never_the_only_one(make_split, drop_last):
    many = loader(make_split(13), drop_last=drop_last)
    assert [len(b) for b in many.batches(1)] == ([5, 5] if drop_last else [5, 5, 3])
    assert len(many) == len(list(many.batches(1)))
    few = loader(make_split(3), drop_last=drop_last)
    assert len(few) == 1 and [len(b) for b in few.batches(1)] == [3]


@pytest.mark.parametrize("shuffle", [True, False])
def test_processes_share_an_epoch(make_split, shuffle):
    split = make_split(17)
    parts = [
        loader(split, shuffle=shuffle, batch_size=4, rank=rank, world_size=2) for rank in range(2)
    ]
    visited = [np.concatenate([b.indices for b in part.batches(1)]) for part in parts]
    assert [len(v) for v in visited] == ([9, 9] if shuffle else [9, 8])
    assert [part.pictures() for part in parts] == [len(v) for v in visited]
    assert set(np.concatenate(visited)) == set(range(17))


def test_an_unreadable_picture_is_named_where_its_batch_is_awaited(make_split):
    split = make_split(23)
    split.source.pictures[7] = split.source.pictures[7][:200]
    batches = loader(split, shuffle=False).batches(1)
    assert next(batches).indices.tolist() == [0, 1, 2, 3, 4]
    with pytest.raises(UnreadablePicture, match=r"memory/7\.jpg"):
        next(batches)
    assert picture_threads() == []


@pytest.mark.parametrize("leave", ["close", "raise", "exhaust"])
def test_no_thread_outlives_its_iterator(make_split, leave):
    batches = loader(make_split(40), batch_size=2).batches(1)
    next(batches)
    assert picture_threads()
    if leave == "close":
        batches.close()
    elif leave == "raise":
        with pytest.raises(KeyboardInterrupt):
            batches.throw(KeyboardInterrupt())
    else:
        list(batches)
    assert picture_threads() == []


def test_only_a_few_batches_are_made_ahead(make_split):
    split = make_split(60)
    batches = loader(split, batch_size=4).batches(1)
    next(batches)
    batches.close()
    assert split.source.reads <= 4 * 4


def test_pictures_that_are_arrays_need_no_decoding(make_split):
    split = make_split(9, encoded=False)
    plain = BatchLoader(
        split, EvaluationTransform(PREPROCESSING), batch_size=9, seed=0, shuffle=False
    )
    batch = next(iter(plain.batches(0)))
    expected = EvaluationTransform(PREPROCESSING)(split.source.pictures[4])
    assert np.array_equal(batch.images[4].numpy(), expected)


def test_an_empty_share_has_no_batches(make_split):
    empty = loader(make_split(1), shuffle=False, rank=1, world_size=2)
    assert len(empty) == 0 and list(empty.batches(1)) == []


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"batch_size": 0}, "batch_size 0"),
        ({"workers": 0}, "workers 0"),
        ({"rank": 2, "world_size": 2}, "rank 2"),
        ({"weights": np.ones(3)}, "3 weights"),
    ],
)
def test_it_fails_when_it_is_built(make_split, options, named):
    with pytest.raises(ValueError, match=named):
        loader(make_split(5), **options)


def test_labels_may_come_from_elsewhere(make_split):
    split = make_split(6)
    relabelled = replace(split, labels=split.labels[::-1].copy())
    batch = next(iter(loader(relabelled, shuffle=False, batch_size=6).batches(1)))
    assert batch.labels.tolist() == split.labels[::-1].tolist()
