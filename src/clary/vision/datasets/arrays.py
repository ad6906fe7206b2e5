"""Pictures that are in memory already."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from clary.errors import DataError
from clary.vision.datasets.layout import FoundDataset, FoundSplit, ordered_classes, split_of
from clary.vision.datasets.sources import ArraySource

LabelsLike = Sequence[int] | Sequence[str] | npt.NDArray[Any]
ARRAYS = "arrays in memory"


@dataclass(frozen=True)
class InMemory:
    """Pictures and labels as arrays; a single pair goes under `train`.

    `splits[name]` is (images, labels): uint8 of shape (pictures, height, width, 3), and for each
    picture a position in `classes`, or any whole number or name where `classes` is None.
    `groups[name]` may hold a group for each picture.
    """

    splits: Mapping[str, tuple[npt.NDArray[Any], LabelsLike]]
    classes: Sequence[str] | None = None
    groups: Mapping[str, Sequence[str]] | None = None
    name: str = "arrays"


def read_arrays(arrays: InMemory) -> FoundDataset:
    """Check the arrays; the pictures are not copied.

    Raises:
        DataError: an unknown split, other shapes or types, or labels that `classes` lacks.
    """
    found: dict[str, FoundSplit] = {}
    for word, (images, labels) in arrays.splits.items():
        split = split_of(word)
        if split is None or split in found:
            raise DataError(
                f"the split {word!r} cannot be used: name train, valid and test, once each"
            )
        source = ArraySource(np.asanyarray(images))
        names, numbers = _numbered(np.asarray(labels), arrays.classes, split)
        if len(numbers) != len(source):
            raise DataError(
                f"{split} has {len(numbers)} labels for {len(source)} pictures: give as many"
            )
        groups = (arrays.groups or {}).get(word)
        if groups is not None and len(groups) != len(source):
            raise DataError(
                f"{split} has {len(groups)} groups for {len(source)} pictures: give as many"
            )
        kept = None if groups is None else tuple(str(group) for group in groups)
        found[split] = FoundSplit(source, names, numbers, kept)
    order = None if arrays.classes is None else tuple(arrays.classes)
    return FoundDataset(ARRAYS, found, class_order=order)


def _numbered(
    labels: npt.NDArray[Any], classes: Sequence[str] | None, split: str
) -> tuple[tuple[str, ...], npt.NDArray[np.int64]]:
    """Class names and each picture's position among them."""
    if labels.ndim != 1 or labels.dtype.kind not in "iuUSO":
        raise DataError(
            f"the labels of {split} have dtype {labels.dtype} and shape {labels.shape}: "
            "give one whole number or name for each picture"
        )
    if classes is not None and len(set(classes)) != len(classes):
        raise DataError("a class name is given twice: name each class once")
    if classes is not None and labels.dtype.kind in "iu":
        if len(labels) and not 0 <= labels.min() <= labels.max() < len(classes):
            raise DataError(
                f"the labels of {split} go from {labels.min()} to {labels.max()}, and "
                f"{len(classes)} classes are named: use 0 to {len(classes) - 1}"
            )
        return tuple(classes), labels.astype(np.int64)
    texts = np.array([str(label) for label in labels.tolist()], dtype=object)
    names = ordered_classes(texts)
    if classes is not None:
        strangers = [name for name in names if name not in set(classes)]
        if strangers:
            raise DataError(
                f"the labels of {split} have {strangers[0]!r}, which `classes` does not: add it"
            )
        names = tuple(classes)
    position = {name: number for number, name in enumerate(names)}
    return names, np.array([position[text] for text in texts], dtype=np.int64)
