from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from clary.errors import DataError, UsageError
from clary.formats.known_datasets import KNOWN_DATASETS
from clary.vision.datasets import ArraySource, InMemory, Split, Subset
from clary.vision.datasets.sources import take


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(0, 256, (12, 5, 7, 3), dtype=np.uint8)


def test_arrays_become_a_data_set(images, opened):
    dataset = opened(InMemory({"train": (images, [0, 1] * 6)}, classes=["no", "yes"]))
    assert dataset.classes == ("no", "yes")
    assert list(dataset.splits) == ["train", "valid", "test"]
    assert dataset.location is None
    rows = [int(split.source.name(i).split()[1]) for split in dataset.splits.values()
            for i in range(len(split))]  # fmt: skip
    assert sorted(rows) == list(range(12))
    first = int(dataset.train.source.name(0).split()[1])
    assert np.array_equal(dataset.train.source.read(0), images[first])


def test_arrays_may_bring_splits_names_and_groups(images, opened):
    pair = (images, ["b", "a"] * 6)
    dataset = opened(InMemory({"train": pair, "val": (images[:4], ["a", "b", "c", "c"])}))
    assert dataset.classes == ("a", "b")
    assert dataset.unknown_classes == {"valid": {"c": 2}}
    groups = {"train": [str(n // 2) for n in range(12)]}
    grouped = opened(InMemory({"train": (images, [0, 1] * 6)}, groups=groups))
    seen = [set(split.groups) for split in grouped.splits.values()]
    assert sum(map(len, seen)) == 6


def test_the_order_of_named_classes_is_kept(images, opened):
    arrays = InMemory({"train": (images, ["b", "a"] * 6)}, classes=["b", "never", "a"])
    assert opened(arrays).classes == ("b", "a")


@pytest.mark.parametrize("shape", [(4, 5, 7), (4, 5, 7, 1)])
def test_grey_pictures_become_rgb(shape):
    grey = np.arange(4 * 35, dtype=np.uint8).reshape(shape)
    picture = ArraySource(grey).read(2)
    assert picture.shape == (5, 7, 3)
    assert all(np.array_equal(picture[..., k], grey[2].reshape(5, 7)) for k in range(3))


def test_named_classes_without_pictures_are_told(images, opened):
    labels = [0, 2] * 6
    found = opened(InMemory({"train": (images, labels)}, ("x", "none", "y", "no")))
    assert (found.classes, found.empty_classes) == (("x", "y"), ("none", "no"))


def test_what_is_read_is_a_copy(images):
    source = ArraySource(images)
    source.read(0)[:] = 0
    assert images[0].any()


def test_array_fingerprints_follow_content_and_choice(images):
    first = ArraySource(images)
    assert first.fingerprint() == ArraySource(images.copy()).fingerprint()
    assert first.take([1, 2]).fingerprint() == ArraySource(images).take([1, 2]).fingerprint()
    changed = images.copy()
    changed[11, 4, 6, 2] ^= 1
    prints = {
        first.fingerprint(),
        ArraySource(changed).fingerprint(),
        first.take([1, 2]).fingerprint(),
        first.take([2, 1]).fingerprint(),
        ArraySource(images, key="x").fingerprint(),
        ArraySource(images.reshape(12, 7, 5, 3)).fingerprint(),
    }
    assert len(prints) == 6


def test_a_choice_of_a_choice(images):
    source = ArraySource(images, [f"n{number}" for number in range(12)])
    chosen = take(take(source, [5, 7, 9]), [2, 0])
    assert [chosen.name(0), chosen.name(1), len(chosen)] == ["n9", "n5", 2]
    assert np.array_equal(chosen.read(1), images[5])


def test_other_sources_are_wrapped(images):
    inner = Subset(ArraySource(images), [3, 4])
    outer = take(inner, [1])
    assert np.array_equal(outer.read(0), images[4])
    assert outer.name(0) == "picture 4"
    assert len({inner.fingerprint(), outer.fingerprint()}) == 2
    split = Split(outer, np.array([0]))
    assert split.fingerprint() != Split(outer, np.array([1])).fingerprint()


@pytest.mark.parametrize(
    ("splits", "options", "sentence"),
    [
        ({"train": (np.zeros((4, 2, 2, 3)), [0, 1, 0, 1])}, {}, "dtype float64, not uint8"),
        ({"train": (np.zeros((4, 3, 8, 8), np.uint8), [0, 1, 0, 1])}, {}, "channels first"),
        ({"train": (np.zeros((4, 8), np.uint8), [0, 1, 0, 1])}, {}, r"shape \(4, 8\)"),
        ({"train": (np.zeros((4, 8, 8, 4), np.uint8), [0, 1, 0, 1])}, {}, "give .pictures, height"),
        ({"train": (np.zeros((4, 8, 8, 3), np.uint8), [0, 1])}, {}, "2 labels for 4 pictures"),
        ({"train": (np.zeros((2, 8, 8, 3), np.uint8), [0.5, 1])}, {}, "dtype float64"),
        (
            {"train": (np.zeros((2, 8, 8, 3), np.uint8), [0, 2])},
            {"classes": ["a", "b"]},
            "go from 0 to 2, and 2 classes are named",
        ),
        (
            {"train": (np.zeros((2, 8, 8, 3), np.uint8), ["a", "z"])},
            {"classes": ["a", "b"]},
            "have 'z'",
        ),
        (
            {"train": (np.zeros((2, 8, 8, 3), np.uint8), [0, 1])},
            {"classes": ["a", "a"]},
            "given twice",
        ),
        (
            {"train": (np.zeros((2, 8, 8, 3), np.uint8), [0, 1])},
            {"groups": {"train": ["a"]}},
            "1 groups for 2 pictures",
        ),
        ({"later": (np.zeros((2, 8, 8, 3), np.uint8), [0, 1])}, {}, "split 'later'"),
        ({"test": (np.zeros((2, 8, 8, 3), np.uint8), [0, 1])}, {}, "no training pictures"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(opened, splits, options, sentence):
    with pytest.raises(DataError, match=sentence):
        opened(InMemory(splits, **options))


def test_digits_need_no_network(opened):
    dataset = opened("digits")
    assert set(KNOWN_DATASETS) == {"cifar10", "digits", "dogs"}
    assert dataset.classes == tuple("0123456789")
    assert sum(len(split) for split in dataset.splits.values()) == 1797
    picture = dataset.train.source.read(0)
    assert (picture.shape, picture.dtype) == ((32, 32, 3), np.uint8)
    assert picture.max() > 200
    assert picture.min() < 20
    assert dataset.train.fingerprint() == opened("digits").train.fingerprint()


def test_a_folder_goes_before_a_known_name(classes, opened, monkeypatch):
    monkeypatch.chdir(classes(folder="digits").parent)
    assert opened("digits").classes == ("a", "b")


@pytest.mark.parametrize("location", ["digits", InMemory({})])
def test_groups_are_refused_where_there_are_none(opened, location):
    with pytest.raises(UsageError, match="leave out group_by"):
        opened(location, group_by="x")


def test_no_torch_is_needed(classes):
    program = (
        "import sys; from pathlib import Path; from clary.settings import Settings\n"
        "from clary.vision.datasets import open_dataset\n"
        "open_dataset(sys.argv[1], settings=Settings(home=Path(sys.argv[2])))\n"
        "open_dataset('digits', settings=Settings(home=Path(sys.argv[2])))\n"
        "print([m for m in ('torch', 'torchvision', 'timm', 'openvino') if m in sys.modules])"
    )
    root = classes()
    result = subprocess.run(
        [sys.executable, "-c", program, str(root), str(root / "home")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout.strip() == "[]"
