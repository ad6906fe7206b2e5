"""The training program: `python -m clary.jobs.train --job DIR`, also under `torchrun`.

Reads the job directory's configuration, checks the pictures before torch is loaded, trains,
writes the model, the records and the report, and says what to do next.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from clary.errors import ClaryError, DataError, Interrupted
from clary.formats.builtin_algorithm import TrainingRequest
from clary.formats.files import write_text
from clary.formats.job_directory import JobDirectory
from clary.formats.training_options import TrainingOptions
from clary.jobs.live_progress import LiveProgress
from clary.jobs.program import ProgramParser, run_program
from clary.jobs.progress_file import ProgressFile
from clary.settings import Settings
from clary.vision.before_torch import prepare_process

if TYPE_CHECKING:
    from clary.vision.datasets import PictureDataset
    from clary.vision.finetuning import FinetuneResult

Progress = Callable[[str, int, "int | None"], None]
CHECK_FILE = "data_check.json"


def main(arguments: Sequence[str]) -> int:
    """Train the job in the directory that `--job` names.

    Raises:
        ClaryError: what ended the job; its sentence also stands in `output/failure`.
    """
    parser = ProgramParser("train", __doc__)
    parser.add_argument("--job", type=Path, required=True, help="the job directory")
    parser.add_argument("--skip-check", action="store_true", help="do not check the pictures")
    parser.add_argument("--no-report", action="store_true", help="do not write the report")
    given = parser.parse_args(arguments)
    directory = JobDirectory(given.job.absolute())
    directory.failure.unlink(missing_ok=True)
    try:
        _train(directory, check=not given.skip_check, report=not given.no_report)
    except Interrupted as error:
        if not _is_main_process():
            return error.exit_code
        raise Interrupted(
            f"{error}; `clary train --resume {directory.root.name}` goes on from there"
        ) from error
    except ClaryError as error:
        if not _is_main_process():
            return error.exit_code
        directory.write_failure(str(error))
        raise
    return 0


def _train(directory: JobDirectory, *, check: bool, report: bool) -> None:
    started = time.monotonic()
    request = TrainingRequest.read(directory)
    options = request.options
    settings = Settings.from_environment()
    console = Console(soft_wrap=True)
    main_process = _is_main_process()
    console.quiet = not main_process
    watchable = ProgressFile(directory, written=main_process)
    dataset = _open(directory, options, settings, watchable)
    if check and main_process and not request.skip_check:
        _check(dataset, directory, options, console, watchable)

    # From here on torch is loaded, which takes seconds; everything cheap has been said before.
    prepare_process()
    from clary.jobs.progress import progress_for
    from clary.vision.finetuning import finetune

    result = finetune(
        dataset,
        output=directory.root,
        options=options,
        observers=[progress_for(console), watchable],
        settings=settings,
    )
    if not main_process:
        return
    _summarise(result, console, time.monotonic() - started)
    if report and not request.no_report:
        from clary.jobs.report import write_report

        page = write_report(directory, dataset=dataset, settings=settings)
        console.print(f"report    {page}", highlight=False)
    _say_what_next(directory, console)


def _open(
    directory: JobDirectory, options: TrainingOptions, settings: Settings, watchable: ProgressFile
) -> PictureDataset:
    from clary.vision.datasets import open_dataset

    with LiveProgress(shown=_is_main_process()) as bar:
        return open_dataset(
            directory.location(),
            settings=settings,
            seed=options.seed,
            valid_fraction=options.valid_fraction,
            test_fraction=options.test_fraction,
            group_by=options.group_by,
            progress=_telling(bar, watchable),
        )


def _check(
    dataset: PictureDataset,
    directory: JobDirectory,
    options: TrainingOptions,
    console: Console,
    watchable: ProgressFile,
) -> None:
    from clary.jobs.check import FULL_CHECK_PICTURES, print_report
    from clary.vision.checks import check_dataset

    full = sum(len(split) for split in dataset.splits.values()) <= FULL_CHECK_PICTURES
    with LiveProgress() as bar:
        found = check_dataset(
            dataset,
            full=full,
            workers=options.workers,
            progress=_telling(bar, watchable),
            batch_size=options.batch_size,
            image_size=options.image_size or 224,
        )
    write_text(directory.output_data / CHECK_FILE, found.model_dump_json(indent=2) + "\n")
    print_report(found, console)
    if found.blocks_training:
        errors = [finding for finding in found.findings if finding.severity == "error"]
        raise DataError(
            f"training would go wrong for {len(errors)} reason(s): {errors[0].message} "
            "`clary check` lists all; --skip-check trains nevertheless"
        )


def _telling(*listeners: Progress) -> Progress:
    def tell(what: str, done: int, total: int | None) -> None:
        for listener in listeners:
            listener(what, done, total)

    return tell


def _summarise(result: FinetuneResult, console: Console, seconds: float) -> None:
    best = result.history.best
    lines = [
        f"trained   {len(result.history.epochs)} epochs in {seconds:.1f} s, everything included"
    ]
    if best is not None:
        lines.append(
            f"best      epoch {best.epoch}: valid_loss={best.valid_loss:.4f} "
            f"valid_accuracy={best.valid_accuracy:.4f}"
        )
    test = result.evaluation.get("test")
    if test is not None:
        low, high = test.interval
        lines.append(
            f"test      accuracy={test.accuracy:.4f} on {test.pictures} unseen pictures "
            f"(95 % interval {low:.4f} to {high:.4f})"
        )
    lines.append(f"model     {result.model_folder}")
    console.print("\n".join(lines), highlight=False)


def _is_main_process() -> bool:
    """Whether this process speaks and writes for all that torchrun has started."""
    return os.environ.get("RANK", "0") == "0"


def _say_what_next(directory: JobDirectory, console: Console) -> None:
    name = directory.root.name
    console.print(
        f"\nnext      clary predict {name} PICTURE…      what is on a picture\n"
        f"          clary explain {name} PICTURE       where it looks\n"
        f"          clary export {name} --format onnx  for other programs",
        highlight=False,
    )


if __name__ == "__main__":
    run_program(main)
