"""What a layout reader finds: pictures by split under the class names used there.

One class map for all splits is made of it in `assembly`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from clary.vision.datasets.dataset import Labels, PictureSource, Skipped

_SPLIT_WORDS = {
    "train": "train",
    "training": "train",
    "valid": "valid",
    "val": "valid",
    "validation": "valid",
    "dev": "valid",
    "test": "test",
    "testing": "test",
}


@dataclass(frozen=True)
class FoundSplit:
    """Pictures of one split: picture `i` is of class `class_names[labels[i]]`.

    `class_names` may name classes without pictures.
    """

    source: PictureSource
    class_names: tuple[str, ...]
    labels: Labels
    groups: tuple[str, ...] | None = None


@dataclass(frozen=True)
class FoundDataset:
    """All that a layout holds. `class_order`, where the layout has one, orders the class map.

    `names_splits` says that a manifest gives the split of each picture itself.
    """

    layout: str
    splits: Mapping[str, FoundSplit]
    skipped: tuple[Skipped, ...] = ()
    empty_classes: tuple[str, ...] = ()
    class_order: tuple[str, ...] | None = field(default=None)
    names_splits: bool = False


def split_of(word: str) -> str | None:
    """The split that a word such as `Validation` means, or None."""
    return _SPLIT_WORDS.get(word.strip().lower())


def ordered_classes(names: Iterable[str]) -> tuple[str, ...]:
    """Class names in order: as numbers when all are numbers, else by character."""
    unique = set(names)
    if all(name.isdecimal() for name in unique):
        return tuple(sorted(unique, key=lambda name: (int(name), name)))
    return tuple(sorted(unique))


def some(names: Iterable[str], most: int = 3) -> str:
    """The first few names, for a sentence: `a, b, c and 4 more`."""
    listed = list(names)
    text = ", ".join(listed[:most])
    return text if len(listed) <= most else f"{text} and {len(listed) - most} more"
