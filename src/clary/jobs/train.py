"""The training program: `python -m clary.jobs.train --job DIR`, also under `torchrun`.

Reads the job directory's configuration, checks the pictures before torch is loaded, trains,
writes the model, the records and the report, and says what to do next.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from clary.errors import ClaryError, Interrupted
from clary.formats.builtin_algorithm import TrainingRequest
from clary.formats.job_directory import JobDirectory
from clary.jobs.live_progress import LiveProgress
from clary.jobs.program import ProgramParser, run_program
from clary.jobs.progress_file import ProgressFile
from clary.jobs.training_data import (
    Progress,
    check_training_data,
    keep_findings,
    open_training_data,
)
from clary.jobs.training_end import (
    make_servable,
    resumable,
    say_report,
    say_result,
    say_what_next,
)
from clary.settings import Settings
from clary.vision.before_torch import prepare_process
from clary.vision.observer import Observer


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
        raise resumable(error, directory) from error
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
    with LiveProgress(shown=main_process) as bar:
        telling = _telling(bar, watchable)
        dataset = open_training_data(directory, options, settings, telling)
    if check and main_process and not request.skip_check:
        with LiveProgress() as bar:
            found = check_training_data(dataset, options, _telling(bar, watchable))
        keep_findings(found, directory, console)

    # From here on torch is loaded, which takes seconds; everything cheap has been said before.
    prepare_process()
    from clary.jobs.profiling import is_profiled, profiler_for
    from clary.jobs.progress import progress_for
    from clary.jobs.watching import is_watched, watcher_for
    from clary.vision.finetuning import finetune

    watchers: list[Observer] = []
    if main_process:
        watchers += [watcher_for(directory)] if is_watched(directory) else []
        watchers += [profiler_for(directory)] if is_profiled(directory) else []
    result = finetune(
        dataset,
        output=directory.root,
        options=options,
        observers=[progress_for(console), watchable, *watchers],
        settings=settings,
    )
    if not main_process:
        return
    say_result(result, console, time.monotonic() - started)
    if report and not request.no_report:
        from clary.jobs.report import write_report

        page = write_report(directory, dataset=dataset, settings=settings)
        say_report(page, console)
    make_servable(result, directory, settings, console)
    say_what_next(directory.root.name, console)


def _telling(*listeners: Progress) -> Progress:
    def tell(what: str, done: int, total: int | None) -> None:
        for listener in listeners:
            listener(what, done, total)

    return tell


def _is_main_process() -> bool:
    """Whether this process speaks and writes for all that torchrun has started."""
    return os.environ.get("RANK", "0") == "0"


if __name__ == "__main__":
    run_program(main)
