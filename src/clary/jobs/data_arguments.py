"""The arguments of programs that open a data set as a training with the same options does."""

from __future__ import annotations

import argparse
import hashlib
from typing import TYPE_CHECKING

from clary.errors import UnreadablePicture
from clary.jobs.program import ProgramParser
from clary.settings import Settings

if TYPE_CHECKING:
    from clary.vision.datasets import PictureDataset, Progress


def add_data_arguments(parser: ProgramParser) -> None:
    """The data set, and what decides how it is split."""
    parser.add_argument("data", help="a folder, manifest, archive or known name")
    parser.add_argument("--valid-fraction", type=float, default=0.15, metavar="F")
    parser.add_argument("--test-fraction", type=float, default=0.15, metavar="F")
    parser.add_argument("--group-by", metavar="WHAT", help="keep groups together, see clary train")
    parser.add_argument("--seed", type=int, default=0)


def opened(given: argparse.Namespace, progress: Progress) -> PictureDataset:
    """The data set that the arguments name.

    Args:
        given: the arguments.
        progress: called while something takes long.

    Raises:
        DataError: there is no such data set, or it cannot be opened.
        UsageError: the fractions or the groups do not fit.
    """
    from clary.vision.datasets import open_dataset

    return open_dataset(
        given.data,
        settings=Settings.from_environment(),
        seed=given.seed,
        valid_fraction=given.valid_fraction,
        test_fraction=given.test_fraction,
        group_by=given.group_by,
        progress=progress,
    )


def fingerprint(dataset: PictureDataset) -> str:
    """What stands for all pictures, labels and splits; "" where a file cannot be looked at, which
    a check tells as a finding.
    """
    digest = hashlib.sha256("\0".join(dataset.classes).encode("utf-8", "surrogateescape"))
    try:
        for name, split in sorted(dataset.splits.items()):
            digest.update(f"\0{name} {split.fingerprint()}".encode())
    except UnreadablePicture:
        return ""
    return digest.hexdigest()
