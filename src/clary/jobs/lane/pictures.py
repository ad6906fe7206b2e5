"""Data sets of trials, and what was seen of them: kept as long as the pictures stay the same."""

from __future__ import annotations

from collections.abc import Hashable
from typing import TypeVar

from clary.formats.data_check import CheckReport
from clary.formats.job_directory import JobDirectory
from clary.formats.training_options import TrainingOptions
from clary.jobs.training_data import (
    Progress,
    check_training_data,
    is_checked_fully,
    open_training_data,
)
from clary.settings import Settings
from clary.vision.checks import Examined, examine_dataset
from clary.vision.datasets import PictureDataset

# Several where the seed or the splits are tuned.
KEPT = 8

Value = TypeVar("Value")


class KnownPictures:
    """Owned by the lane's thread."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._datasets: dict[Hashable, PictureDataset] = {}
        self._examined: dict[Hashable, Examined] = {}

    def dataset(
        self, directory: JobDirectory, options: TrainingOptions, progress: Progress
    ) -> PictureDataset:
        """The data set of a job; an equal one that was opened before is given again.

        The folder is listed anew each time: pictures may have come, gone or changed.

        Raises:
            ClaryError: as `open_training_data`.
        """
        dataset = open_training_data(directory, options, self._settings, progress)
        # What a run writes names its files: two places with the same pictures are two data sets.
        key = (str(dataset.location), dataset.classes, _fingerprint(dataset))
        return _keep(self._datasets, key, self._datasets.pop(key, dataset))

    def check(
        self, dataset: PictureDataset, options: TrainingOptions, progress: Progress
    ) -> CheckReport:
        """Everything that is wrong with a data set for a training; pictures are read once."""
        full = is_checked_fully(dataset)
        key = (full, _fingerprint(dataset))
        examined = self._examined.pop(key, None)
        if examined is None:
            examined = examine_dataset(
                dataset, full=full, workers=options.workers, progress=progress
            )
        _keep(self._examined, key, examined)
        return check_training_data(dataset, options, progress, examined)


def _fingerprint(dataset: PictureDataset) -> Hashable:
    return tuple((name, split.fingerprint()) for name, split in dataset.splits.items())


def _keep(shelf: dict[Hashable, Value], key: Hashable, value: Value) -> Value:
    """Put it where it is the last to go."""
    shelf[key] = value
    while len(shelf) > KEPT:
        del shelf[next(iter(shelf))]
    return value
