"""Find what is wrong with a data set, before torch is loaded: `python -m clary.jobs.check DATA`.

Prints a table for people or, with --json, a `CheckReport` for programs. Exit code 1 when training
would go wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console

from clary.formats.data_check import CheckReport
from clary.formats.text import valid_text
from clary.jobs.check_table import print_next_step, print_report
from clary.jobs.data_arguments import add_data_arguments, fingerprint, opened
from clary.jobs.live_progress import LiveProgress
from clary.jobs.program import ProgramParser, run_program

if TYPE_CHECKING:
    from clary.vision.datasets import PictureDataset

__all__ = ["FULL_CHECK_PICTURES", "main", "print_report"]

# Beyond it, decoding all once more than training does would take longer than it tells: the headers
# tell most.
FULL_CHECK_PICTURES = 20_000


def main(arguments: Sequence[str]) -> int:
    """Check the data set that the arguments name.

    Returns:
        1 when training would go wrong, else 0.

    Raises:
        DataError: there is no such data set, or it cannot be opened.
        UsageError: an argument is not understood.
    """
    parser = ProgramParser("check", __doc__)
    add_data_arguments(parser)
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    parser.add_argument("--count", action="store_true", help="only count the pictures, as JSON")
    parser.add_argument("--quick", action="store_true", help="decode only files that look cut off")
    parser.add_argument(
        "--as-training",
        action="store_true",
        help=f"look as closely as a training does: --quick beyond {FULL_CHECK_PICTURES} pictures",
    )
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--workers", type=int, help="threads; as many as cores by default")
    given = parser.parse_args(arguments)
    for name in ("batch_size", "image_size", "workers"):
        value = getattr(given, name)
        if value is not None and value < 1:
            parser.error(f"--{name.replace('_', '-')} is {value}: give 1 or more")

    if given.seed < 0:
        parser.error(f"--seed is {given.seed}: give 0 or more")

    from clary.vision.checks import check_dataset

    with LiveProgress() as progress:
        dataset = opened(given, progress)
        pictures = sum(len(split) for split in dataset.splits.values())
        if given.count:
            return _print(_counted(dataset), given.data, as_json=True)
        report = check_dataset(
            dataset,
            full=not (given.quick or (given.as_training and pictures > FULL_CHECK_PICTURES)),
            workers=given.workers,
            progress=progress,
            batch_size=given.batch_size,
            image_size=given.image_size,
        )
    if given.json:
        report = report.model_copy(update={"fingerprint": fingerprint(dataset)})
    return _print(report, given.data, as_json=given.json)


def _counted(dataset: PictureDataset) -> CheckReport:
    """A report without any look at the pictures."""
    classes = tuple(map(valid_text, dataset.classes))
    return CheckReport(
        dataset=valid_text(dataset.name),
        layout=dataset.layout,
        classes=classes,
        counts={
            name: dict(zip(classes, dataset.class_counts(name).tolist(), strict=True))
            for name in dataset.splits
        },
        pictures=sum(len(split) for split in dataset.splits.values()),
        seconds=0.0,
        made_splits=dataset.made_splits,
        full=False,
        fingerprint=fingerprint(dataset),
    )


def _print(report: CheckReport, data: str, *, as_json: bool) -> int:
    """Print a report; returns the exit code that goes with it."""
    if as_json:
        print(report.model_dump_json(indent=2))
    else:
        console = Console()
        print_report(report, console)
        print_next_step(report, data, console)
    return int(report.blocks_training)


if __name__ == "__main__":
    run_program(main)
