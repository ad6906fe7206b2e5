"""The pictures of a training: opened and checked, before torch is loaded."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from rich.console import Console

from clary.errors import DataError
from clary.formats.data_check import CheckReport
from clary.formats.files import write_text
from clary.formats.job_directory import JobDirectory
from clary.formats.training_options import TrainingOptions
from clary.settings import Settings

if TYPE_CHECKING:
    from clary.vision.checks import Examined
    from clary.vision.datasets import PictureDataset

Progress = Callable[[str, int, "int | None"], None]
CHECK_FILE = "data_check.json"
_DEFAULT_SIDE = 224


def open_training_data(
    directory: JobDirectory, options: TrainingOptions, settings: Settings, progress: Progress
) -> PictureDataset:
    """The data set of a job, split as its options say.

    Raises:
        FormatError: the job's configuration is missing or damaged.
        DataError: there is no such data set, or it cannot be opened.
        StorageError: what has to be downloaded or unpacked cannot be kept.
    """
    from clary.vision.datasets import open_dataset

    return open_dataset(
        directory.location(),
        settings=settings,
        seed=options.seed,
        valid_fraction=options.valid_fraction,
        test_fraction=options.test_fraction,
        group_by=options.group_by,
        progress=progress,
    )


def check_training_data(
    dataset: PictureDataset,
    options: TrainingOptions,
    progress: Progress,
    examined: Examined | None = None,
) -> CheckReport:
    """Everything that is wrong with a data set for this training.

    Args:
        dataset: what to check.
        options: of the training.
        progress: called while pictures are read.
        examined: what is known of the very pictures already; None reads them.
    """
    from clary.vision.checks import check_dataset

    return check_dataset(
        dataset,
        full=is_checked_fully(dataset),
        workers=options.workers,
        progress=progress,
        batch_size=options.batch_size,
        image_size=options.image_size or _DEFAULT_SIDE,
        examined=examined,
    )


def is_checked_fully(dataset: PictureDataset) -> bool:
    """Whether every picture is decoded before a training."""
    from clary.jobs.check import FULL_CHECK_PICTURES

    return sum(len(split) for split in dataset.splits.values()) <= FULL_CHECK_PICTURES


def keep_findings(found: CheckReport, directory: JobDirectory, console: Console) -> None:
    """Keep and print what a check has found.

    Raises:
        DataError: training would go wrong.
        StorageError: the directory cannot be written.
    """
    from clary.jobs.check import print_report

    write_text(directory.output_data / CHECK_FILE, found.model_dump_json(indent=2) + "\n")
    print_report(found, console)
    if found.blocks_training:
        errors = [finding for finding in found.findings if finding.severity == "error"]
        raise DataError(
            f"training would go wrong for {len(errors)} reason(s): {errors[0].message} "
            "`clary check` lists all; --skip-check trains nevertheless"
        )
