"""Findings about classes and splits: missing, empty, alike in name, out of balance, too few."""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterator

import numpy as np

from clary.formats.data_check import CheckFinding
from clary.vision.checks.findings import finding, number
from clary.vision.datasets.dataset import PictureDataset

FEW_PICTURES = 10
NOTABLE_RATIO = 3.0
STRONG_RATIO = 10.0
# Folders that programs make and nobody means as a class.
_MADE_BY_PROGRAMS = frozenset({"__macosx", "@eadir", "__pycache__", "$recycle.bin", "thumbs"})


def class_map(dataset: PictureDataset) -> Iterator[CheckFinding]:
    """One class only, classes that train does not have, empty ones, hidden folders as classes."""
    if len(dataset.classes) < 2:
        yield finding(
            "one-class",
            "error",
            f"there is {number(len(dataset.classes), 'class', 'classes')}: a classifier needs two "
            "or more, each in a folder of its own",
            dataset.classes,
            count=len(dataset.classes),
        )
    for split, counts in dataset.unknown_classes.items():
        pictures = sum(counts.values())
        yield finding(
            "class-without-training",
            "error",
            f"{number(len(counts), 'class', 'classes')} with {number(pictures, 'picture')} of "
            f"{split} that train does not have, left out of it: add training pictures, correct "
            "the folder's name, or remove the folder",
            list(counts),
            details=[_perhaps_meant(name, dataset.classes) for name in counts],
        )
    if dataset.empty_classes:
        yield finding(
            "empty-class",
            "warning",
            f"{number(len(dataset.empty_classes), 'class', 'classes')} without training pictures, "
            "left out of the class map: add pictures or remove the folder",
            dataset.empty_classes,
        )
    hidden = [
        name
        for name in dataset.classes
        if name.startswith(".") or name.lower() in _MADE_BY_PROGRAMS
    ]
    if hidden:
        yield finding(
            "hidden-class",
            "error",
            f"{number(len(hidden), 'hidden folder')} taken for classes: remove or rename them",
            hidden,
        )


def class_names(dataset: PictureDataset) -> Iterator[CheckFinding]:
    """Names that differ in case, spaces or separators only: most likely one class twice."""
    alike: defaultdict[str, list[str]] = defaultdict(list)
    for name in dataset.classes:
        alike[_plain(name)].append(name)
    variants = [names for names in alike.values() if len(names) > 1]
    if variants:
        yield finding(
            "similar-class-names",
            "warning",
            f"{number(len(variants), 'class name')} written in several ways: put the pictures "
            "into one folder if they are one class",
            [repr(names[0]) for names in variants],
            details=["also " + ", ".join(map(repr, names[1:])) for names in variants],
        )


def class_sizes(dataset: PictureDataset, batch_size: int) -> Iterator[CheckFinding]:
    """Imbalance, classes with few pictures, a training split smaller than a batch."""
    counts = dataset.class_counts("train")
    if len(dataset.train) < batch_size:
        yield finding(
            "less-than-a-batch",
            "warning",
            f"train has {number(len(dataset.train), 'picture')}, fewer than a batch of "
            f"{batch_size}: collect more, 20 or more of each class are a start",
            count=len(dataset.train),
        )
    few = np.flatnonzero(counts < FEW_PICTURES)
    if len(few):
        yield finding(
            "few-pictures",
            "warning",
            f"{number(len(few), 'class', 'classes')} with fewer than {FEW_PICTURES} training "
            "pictures: collect more, they will hardly be learned",
            [dataset.classes[k] for k in few],
            details=[number(int(counts[k]), "picture") for k in few],
        )
    smallest, largest = int(counts.argmin()), int(counts.argmax())
    ratio = counts[largest] / max(int(counts[smallest]), 1)
    if ratio >= NOTABLE_RATIO:
        yield finding(
            "imbalance",
            "warning" if ratio >= STRONG_RATIO else "notice",
            f"the largest class has {ratio:.0f} times as many training pictures as the smallest: "
            "--class-balance auto weighs them, more pictures of the small one are better",
            [dataset.classes[largest], dataset.classes[smallest]],
            details=[number(int(counts[k]), "picture") for k in (largest, smallest)],
        )


def split_coverage(dataset: PictureDataset) -> Iterator[CheckFinding]:
    """Classes of train that valid or test has no picture of, and splits that are missing."""
    for split in ("valid", "test"):
        if split not in dataset.splits:
            continue
        missing = np.flatnonzero(dataset.class_counts(split) == 0)
        if len(missing):
            yield finding(
                "class-not-measured",
                "warning",
                f"{number(len(missing), 'class', 'classes')} without pictures in {split}: how "
                "well they are told cannot be measured there, so move some over",
                [dataset.classes[k] for k in missing],
            )
    if "valid" not in dataset.splits:
        yield finding(
            "no-valid",
            "warning",
            "there is no valid split, so nothing shows when to stop: add valid/ or let "
            "--valid-fraction cut one from train",
            count=0,
        )


def _plain(name: str) -> str:
    text = unicodedata.normalize("NFKC", name).casefold()
    return re.sub(r"[\s_\-.]+", " ", text).strip()


def _perhaps_meant(name: str, classes: tuple[str, ...]) -> str:
    plain = {_plain(each): each for each in classes}
    close = difflib.get_close_matches(_plain(name), plain, n=1, cutoff=0.7)
    return f"train has {plain[close[0]]!r}" if close else "train has no such name"
