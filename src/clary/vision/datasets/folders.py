"""Folders as classes: `class/picture.jpg`, with or without `train/`, `valid/`, `test/` above."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from clary.errors import DataError, UsageError
from clary.vision.datasets.layout import FoundDataset, FoundSplit, ordered_classes, split_of
from clary.vision.datasets.listing import PictureFinder, entries, is_folder, is_hidden_folder
from clary.vision.datasets.sources import FileSource

CLASS_FOLDERS = "a folder per class"
SPLIT_FOLDERS = "a folder per split and class"


def subfolders(folder: Path) -> list[str]:
    """The names of the visible folders in a folder, sorted.

    Raises:
        DataError: the folder cannot be read.
    """
    return [
        entry.name
        for entry in entries(folder)
        if is_folder(entry) and not is_hidden_folder(entry.name)
    ]


def split_folders(folder: Path) -> dict[str, str] | None:
    """Which of a folder's folders are splits, by split; None where it is not divided so.

    A folder `train` that has pictures but no folders is a class of locomotives.

    Raises:
        DataError: two folders mean the same split, or there is no `train/` beside the others.
    """
    children = subfolders(folder)
    found: dict[str, str] = {}
    for child in children:
        split = split_of(child)
        if split is None or not subfolders(folder / child):
            continue
        if split in found:
            raise DataError(
                f"{folder} has both {found[split]}/ and {child}/ for {split}: "
                "merge them or remove one"
            )
        found[split] = child
    if not found:
        return None
    if "train" not in found:
        if any(split_of(child) is None for child in children):
            return None
        raise DataError(
            f"{folder} has {' and '.join(f'{name}/' for name in found.values())} but no train/: "
            "add the training pictures"
        )
    return found


def read_class_folders(folder: Path, group_by: str | None = None) -> FoundDataset:
    """Read a folder per class, no splits.

    Args:
        folder: holds the class folders.
        group_by: a regular expression that finds a picture's group in its relative name: its
            first bracket, or all that matches.

    Raises:
        DataError: a folder cannot be read.
        UsageError: `group_by` is not a regular expression, or matches no name.
    """
    finder = PictureFinder(folder)
    split, empty = _read_classes(finder, "", group_by)
    return FoundDataset(CLASS_FOLDERS, {"train": split}, tuple(finder.skipped), empty)


def read_split_folders(
    folder: Path, splits: dict[str, str], group_by: str | None = None
) -> FoundDataset:
    """Read folders of class folders, found by `split_folders`.

    Raises:
        DataError: a folder cannot be read.
        UsageError: `group_by` is not a regular expression, or matches no name.
    """
    finder = PictureFinder(folder)
    found: dict[str, FoundSplit] = {}
    empty: tuple[str, ...] = ()
    for split, child in splits.items():
        found[split], without = _read_classes(finder, child, group_by)
        if split == "train":
            empty = without
        if not len(found[split].labels):
            finder.skip(f"{child}/", "holds no pictures")
    used = set(splits.values())
    for entry in entries(folder):
        if not is_folder(entry):
            if finder.is_picture(entry, entry.name):
                finder.skip(entry.name, "a picture outside of any class folder")
        elif is_hidden_folder(entry.name):
            finder.skip_hidden(entry.name)
        elif entry.name not in used:
            reason = (
                "a folder beside train/ that is no split"
                if split_of(entry.name) is None
                else "a split without class folders"
            )
            finder.skip(f"{entry.name}/", reason)
    return FoundDataset(SPLIT_FOLDERS, found, tuple(finder.skipped), empty)


def _read_classes(
    finder: PictureFinder, relative: str, group_by: str | None
) -> tuple[FoundSplit, tuple[str, ...]]:
    """The pictures of the class folders in `relative`, and which of these are empty."""
    by_class: dict[str, list[str]] = {}
    for entry in entries(finder.root / relative):
        name = f"{relative}/{entry.name}" if relative else entry.name
        if not is_folder(entry):
            if finder.is_picture(entry, name):
                finder.skip(name, "a picture outside of any class folder")
        elif is_hidden_folder(entry.name):
            finder.skip_hidden(name)
        else:
            by_class[entry.name] = finder.pictures(name)
    classes = ordered_classes(by_class)
    names = [name for each in classes for name in by_class[each]]
    labels = np.repeat(np.arange(len(classes)), [len(by_class[each]) for each in classes])
    split = FoundSplit(
        FileSource(finder.root, names),
        classes,
        labels.astype(np.int64),
        None if group_by is None else _groups(names, group_by),
    )
    return split, tuple(each for each in classes if not by_class[each])


def _groups(names: list[str], group_by: str) -> tuple[str, ...]:
    try:
        pattern = re.compile(group_by)
    except re.error as error:
        raise UsageError(
            f"group_by {group_by!r} is not a regular expression ({error}): give one that finds "
            r"the group in a picture's name, such as (patient\d+)_"
        ) from error
    matches = [pattern.search(name) for name in names]
    if names and not any(matches):
        raise UsageError(
            f"group_by {group_by!r} matches no name, not even {names[0]}: give a regular "
            "expression that finds the group in it"
        )
    # A picture in which no group is found is a group of its own.
    return tuple(
        name if match is None else match.group(min(1, pattern.groups)) or name
        for name, match in zip(names, matches, strict=True)
    )
