"""From what a layout holds to a data set: one class map, fixed from the training split."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from clary.errors import DataError
from clary.formats.text import valid_text
from clary.vision.datasets.dataset import SPLIT_NAMES, Labels, PictureDataset, Split
from clary.vision.datasets.layout import FoundDataset, FoundSplit, ordered_classes, some
from clary.vision.datasets.sources import take
from clary.vision.datasets.splits import cut_splits


@dataclass(frozen=True)
class SplitShares:
    """How to cut the splits that a layout does not have; 0 makes none of that name."""

    seed: int
    valid: float
    test: float


def assemble(
    found: FoundDataset, name: str, location: Path | None, shares: SplitShares
) -> PictureDataset:
    """Fix the class map, leave out what it does not cover, cut the missing splits.

    The data set's and the classes' names become text that the formats can hold.

    Where neither `valid` nor `test` was found both are cut from `train`; beside a found `test`
    only `valid` is. A found `valid` alone stays alone: whoever divided the pictures wanted the
    rest for training.

    Raises:
        DataError: no pictures, a single class, a split without known classes, a class too small.
        UsageError: the shares leave nothing to train on.
    """
    if "train" not in found.splits or not len(found.splits["train"].labels):
        raise DataError(
            f"{location or name} holds no training pictures: put each class's pictures into a "
            "folder named after the class"
        )
    found = _with_text_names(found)
    train = found.splits["train"]
    counts = np.bincount(train.labels, minlength=len(train.class_names))
    present = {train.class_names[k] for k in np.flatnonzero(counts)}
    order = found.class_order or ordered_classes(present)
    classes = tuple(each for each in order if each in present)
    if len(classes) < 2:
        raise DataError(
            f"{location or name} holds pictures of one class ({classes[0]}): "
            "a classifier needs at least 2, each in a folder of its own"
        )
    splits: dict[str, Split] = {}
    unknown: dict[str, dict[str, int]] = {}
    for split in SPLIT_NAMES:
        if split in found.splits and len(found.splits[split].labels):
            splits[split], strangers = _mapped(found.splits[split], classes)
            if strangers:
                unknown[split] = strangers
            if not len(splits[split]):
                raise DataError(
                    f"{location or name}: no class of {split} ({some(strangers)}) is one of "
                    f"train's ({some(classes)}): give the classes the same names in both"
                )
    made = _cut_missing(splits, shares, classes)
    return PictureDataset(
        name=valid_text(name),
        layout=found.layout,
        classes=classes,
        splits={split: splits[split] for split in SPLIT_NAMES if split in splits},
        location=location,
        skipped=found.skipped,
        empty_classes=found.empty_classes or tuple(each for each in order if each not in present),
        unknown_classes=unknown,
        made_splits=made,
    )


def _with_text_names(found: FoundDataset) -> FoundDataset:
    """The same with class names that are valid text, on which the class map is built.

    Raises:
        DataError: two class names differ only in what is no text.
    """
    splits = {
        name: replace(split, class_names=_texts(split.class_names))
        for name, split in found.splits.items()
    }
    order = None if found.class_order is None else _texts(found.class_order)
    return replace(
        found, splits=splits, class_order=order, empty_classes=_texts(found.empty_classes)
    )


def _texts(names: Iterable[str]) -> tuple[str, ...]:
    texts: dict[str, str] = {}
    for name in names:
        text = valid_text(name)
        if texts.setdefault(text, name) != name:
            raise DataError(
                f"two classes are called {text}, for their names are not UTF-8: rename one"
            )
    return tuple(texts)


def _mapped(found: FoundSplit, classes: tuple[str, ...]) -> tuple[Split, dict[str, int]]:
    """The split under the class map, and how many pictures each class outside of it has."""
    position = {name: label for label, name in enumerate(classes)}
    table = np.array([position.get(name, -1) for name in found.class_names], dtype=np.int64)
    labels = table[found.labels]
    kept = np.flatnonzero(labels >= 0)
    if len(kept) == len(labels):
        return Split(found.source, labels, found.groups), {}
    counts = np.bincount(found.labels, minlength=len(found.class_names))
    strangers = {
        name: int(count)
        for name, count in zip(found.class_names, counts, strict=True)
        if count and name not in position
    }
    return _chosen(Split(found.source, labels, found.groups), kept), strangers


def _chosen(split: Split, indices: Labels) -> Split:
    groups = None if split.groups is None else tuple(split.groups[index] for index in indices)
    return Split(take(split.source, indices), split.labels[indices], groups)


def _cut_missing(
    splits: dict[str, Split], shares: SplitShares, classes: tuple[str, ...]
) -> tuple[str, ...]:
    """Cut from `train`, in place, what was not found; name what was cut."""
    fractions: dict[str, float] = {}
    if "valid" not in splits:
        fractions["valid"] = shares.valid
        if "test" not in splits:
            fractions["test"] = shares.test
    fractions = {name: fraction for name, fraction in fractions.items() if fraction}
    if not fractions:
        return ()
    whole = splits["train"]
    parts = cut_splits(whole.labels, fractions, shares.seed, whole.groups, classes)
    for name, indices in parts.items():
        if len(indices):
            splits[name] = _chosen(whole, indices)
    return tuple(name for name in fractions if name in splits)
