"""Rows of a manifest, whatever its format, to splits of picture files."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from clary.errors import DataError
from clary.vision.datasets.dataset import Skipped
from clary.vision.datasets.layout import FoundDataset, FoundSplit, ordered_classes, split_of
from clary.vision.datasets.listing import PICTURE_EXTENSIONS, extension
from clary.vision.datasets.sources import FileSource


class Row(NamedTuple):
    """One picture as a manifest names it. `split` and `group` are empty where it says nothing."""

    line: int
    reference: str
    label: str
    split: str = ""
    group: str = ""


@dataclass(frozen=True)
class ManifestPlace:
    """A manifest and where its pictures may lie.

    `folders` are tried in order for relative references. With `confined_to`, the folder that an
    archive was unpacked into, a reference out of it is refused.
    """

    manifest: Path
    folders: tuple[Path, ...]
    confined_to: Path | None = None

    def find(self, reference: str, line: int) -> str | None:
        """The file's name relative to the first folder, or absolute; None where there is none.

        Raises:
            DataError: the reference leads out of the archive.
        """
        candidates = [reference]
        if "\\" in reference and os.sep == "/":
            candidates.append(reference.replace("\\", "/"))
        for number, folder in enumerate(self.folders):
            for candidate in candidates:
                path = folder / candidate
                if self.confined_to is not None and not self._inside(path, self.confined_to):
                    raise DataError(
                        f"{self.manifest}, line {line}: {reference} leads out of the archive: "
                        "use names relative to the manifest"
                    )
                if path.is_file():
                    return candidate if number == 0 else str(path.absolute())
        return None

    @staticmethod
    def _inside(path: Path, folder: Path) -> bool:
        # By the text alone: nothing that was unpacked is a link.
        return Path(os.path.normpath(path)).is_relative_to(folder)


class _SplitRows:
    """The rows of one split while they are read."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.labels: list[int] = []
        self.groups: list[str] = []


def gather(rows: Iterable[Row], place: ManifestPlace, layout: str) -> FoundDataset:
    """Check the rows and bring them into splits, in the order of the manifest.

    Rows whose file is missing or of an unsupported type, and repetitions, are left out and
    recorded.

    Raises:
        DataError: a row without path or label, a picture with two labels, an unknown split, only
            some rows with a split, or no row whose file exists.
    """
    skipped: list[Skipped] = []
    splits: dict[str, _SplitRows] = {}
    class_numbers: dict[str, int] = {}
    # By file: its class and where that was said first, to find contradictions.
    first_seen: dict[str, tuple[int, int]] = {}
    listed: set[tuple[str, str]] = set()
    count = 0
    for row in rows:
        count += 1
        split = _split_name(row, place.manifest)
        name = place.find(row.reference, row.line)
        if name is None:
            skipped.append(Skipped(row.reference, "the file is missing"))
            continue
        suffix = extension(name)
        if suffix and suffix not in PICTURE_EXTENSIONS:
            skipped.append(Skipped(row.reference, f"unsupported type {suffix}"))
            continue
        label = class_numbers.setdefault(row.label, len(class_numbers))
        other, line = first_seen.setdefault(name, (label, row.line))
        if other != label:
            raise DataError(
                f"{place.manifest} calls {row.reference} {list(class_numbers)[other]} on line "
                f"{line} and {row.label} on line {row.line}: keep one label a picture"
            )
        if (split, name) in listed:
            skipped.append(Skipped(row.reference, f"listed again on line {row.line}"))
            continue
        listed.add((split, name))
        part = splits.setdefault(split, _SplitRows())
        part.names.append(name)
        part.labels.append(label)
        part.groups.append(row.group)
    if not splits:
        raise DataError(_nothing_found(place, count, skipped))
    if "" in splits and len(splits) > 1:
        raise DataError(
            f"{place.manifest} gives a split for some pictures and none for others, such as "
            f"{splits[''].names[0]}: give one for all or for none"
        )
    found = _found_splits(splits, place.folders[0], class_numbers)
    return FoundDataset(layout, found, tuple(skipped), names_splits="" not in splits)


def _found_splits(
    splits: dict[str, _SplitRows], root: Path, class_numbers: dict[str, int]
) -> dict[str, FoundSplit]:
    classes = ordered_classes(class_numbers)
    table = np.zeros(len(classes), dtype=np.int64)
    for position, name in enumerate(classes):
        table[class_numbers[name]] = position
    return {
        split or "train": FoundSplit(
            FileSource(root, part.names),
            classes,
            table[np.asarray(part.labels, dtype=np.int64)],
            _filled(part.groups, part.names),
        )
        for split, part in splits.items()
    }


def _filled(groups: Sequence[str], names: Sequence[str]) -> tuple[str, ...] | None:
    """The groups, with the picture's own name where one is missing; None where all are."""
    if not any(groups):
        return None
    return tuple(group or name for group, name in zip(groups, names, strict=True))


def _split_name(row: Row, manifest: Path) -> str:
    for value, what in ((row.reference, "path"), (row.label, "label")):
        if not value:
            raise DataError(f"{manifest}, line {row.line} has no {what}: add it or remove the line")
    if not row.split:
        return ""
    split = split_of(row.split)
    if split is None:
        raise DataError(
            f"{manifest}, line {row.line}: split {row.split!r} is not train, valid or test"
        )
    return split


def _nothing_found(place: ManifestPlace, count: int, skipped: Sequence[Skipped]) -> str:
    if not count:
        return f"{place.manifest} lists no pictures: give a line with path and label for each"
    first = skipped[0]
    return (
        f"none of the {count} pictures in {place.manifest} can be used (the first, {first.name}: "
        f"{first.reason}): give paths to pictures relative to {place.folders[0]}"
    )
