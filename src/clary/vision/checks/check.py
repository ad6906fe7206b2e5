"""The data check: every finding about a data set, at once."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np

from clary.formats.data_check import CheckFinding, CheckReport, Severity
from clary.formats.text import valid_text
from clary.vision.checks.catalogue import Catalogue
from clary.vision.checks.classes import class_map, class_names, class_sizes, split_coverage
from clary.vision.checks.duplicates import duplicate_findings
from clary.vision.checks.examination import Examined, examine
from clary.vision.checks.files import (
    misnamed_files,
    picture_looks,
    picture_shapes,
    skipped_files,
    unreadable_pictures,
)
from clary.vision.datasets.dataset import PictureDataset, Progress

_ORDER: dict[Severity, int] = {"error": 0, "warning": 1, "notice": 2}


def check_dataset(
    dataset: PictureDataset,
    *,
    full: bool = True,
    workers: int | None = None,
    progress: Progress | None = None,
    batch_size: int = 32,
    image_size: int = 224,
    examined: Examined | None = None,
) -> CheckReport:
    """Find everything that is wrong with a data set. torch is not imported, no pixels are kept.

    Args:
        dataset: what to check.
        full: decode every picture, which finds all damage and the pictures that look alike;
            otherwise read headers only, which takes a tenth of the time or less.
        workers: threads; as many as there are cores, 16 at most, when None.
        progress: called in this thread while pictures are read.
        batch_size: of the training that is planned.
        image_size: side in pixels of the network's input.
        examined: what `examine_dataset` has found of the very same pictures, `full` or not; None
            looks at them.

    Returns:
        The report, its findings in order of severity.
    """
    started = time.perf_counter()
    catalogue = Catalogue(dataset)
    if examined is None:
        examined = examine(catalogue, full=full, workers=workers, progress=progress)
    findings = sorted(
        _findings(catalogue, examined, batch_size, image_size),
        key=lambda found: _ORDER[found.severity],
    )
    readable = examined.readable
    classes = tuple(map(valid_text, dataset.classes))
    return CheckReport(
        dataset=valid_text(dataset.name),
        layout=dataset.layout,
        classes=classes,
        counts={
            split: dict(zip(classes, dataset.class_counts(split).tolist(), strict=True))
            for split in catalogue.split_names
        },
        findings=tuple(findings),
        pictures=len(catalogue),
        seconds=time.perf_counter() - started,
        widths=_spread(examined.widths[readable]),
        heights=_spread(examined.heights[readable]),
        made_splits=dataset.made_splits,
        full=full,
    )


def examine_dataset(
    dataset: PictureDataset,
    *,
    full: bool = True,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Examined:
    """Look at every picture, for checks with several sizes; the arguments are `check_dataset`'s."""
    return examine(Catalogue(dataset), full=full, workers=workers, progress=progress)


def _findings(
    catalogue: Catalogue, examined: Examined, batch_size: int, image_size: int
) -> Iterator[CheckFinding]:
    dataset = catalogue.dataset
    yield from unreadable_pictures(catalogue, examined)
    yield from class_map(dataset)
    yield from class_names(dataset)
    yield from skipped_files(catalogue)
    yield from class_sizes(dataset, batch_size)
    yield from split_coverage(dataset)
    yield from duplicate_findings(catalogue, examined)
    yield from picture_shapes(catalogue, examined, image_size)
    yield from picture_looks(catalogue, examined)
    yield from misnamed_files(catalogue, examined)


def _spread(sides: np.ndarray[tuple[int], np.dtype[np.int32]]) -> tuple[int, int, int]:
    """Smallest, median and largest."""
    if not len(sides):
        return 0, 0, 0
    return int(sides.min()), int(np.median(sides)), int(sides.max())
