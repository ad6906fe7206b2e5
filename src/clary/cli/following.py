"""A training in the terminal: what it says, a live bar below, and Ctrl-C to stop it."""

from __future__ import annotations

import sys

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

from clary.cli.findings_text import warning
from clary.cli.watching import RECONNECTIONS, Watch, counting_stops
from clary.errors import ServiceError, ServiceUnreachable
from clary.formats.job_directory import JobDirectory
from clary.formats.run_progress import RunProgress
from clary.sdk.log_tail import LogTail
from clary.sdk.rule_evaluations import RULES_FOLDER, FindingTail
from clary.sdk.training_job import JobDescription, TrainingJob

_LOOK_SECONDS = 0.15


def follow(job: TrainingJob, directory: JobDirectory | None) -> JobDescription:
    """Show a job until it has ended, and what its rules find meanwhile. Lines that begin with
    `clary:` go to stderr, and so does the reason of a failure.

    Ctrl-C and SIGTERM stop the job, and what it says meanwhile is still shown; a second one
    leaves it to itself. A service that was killed is started again; the job goes on without it.

    Args:
        job: what to show.
        directory: of the job, for the bar and the rules; None where it is on another machine.

    Raises:
        ServiceError: the service does not answer any more; the job goes on.
        KeyboardInterrupt: Ctrl-C came a second time.
    """
    with _View(Console(), directory) as view, counting_stops() as asked:
        try:
            found = _shown_to_its_end(view, job, asked)
        except ServiceError as error:
            raise ServiceError(
                f"{error}; the job goes on, and `clary jobs logs --follow {job.name}` shows it"
            ) from error
    reason = found.failure_reason
    if reason is not None and not any(sentence in reason for sentence in view.sentences):
        view.error(reason)  # the program could not say it itself
    return found


def _shown_to_its_end(view: _View, job: TrainingJob, asked: list[int]) -> JobDescription:
    tail = job.tail()
    reconnections = 0
    while True:
        watch = Watch(job.description)
        try:
            _show(view, watch, tail, job, asked)
            return watch.result()
        except ServiceUnreachable:
            if reconnections == RECONNECTIONS:
                raise
        finally:
            watch.over.set()
        reconnections += 1
        job.session.reconnect()
        view.error("the service was lost for a moment, and the job has gone on without it")


def _show(
    view: _View, watch: Watch[JobDescription], tail: LogTail, job: TrainingJob, asked: list[int]
) -> None:
    stopping = False
    while True:
        over = watch.over.is_set()
        for line in tail.new_lines():
            view.line(line.message)
        if over:
            return
        if len(asked) > 1:
            view.error(f"left {job.name}: `clary jobs logs --follow {job.name}` shows it")
            raise KeyboardInterrupt
        if asked and not stopping:
            stopping = True
            view.error(f"stopping {job.name}, its checkpoint is kept; Ctrl-C again leaves it")
            job.stop()
        view.warn()
        view.update(watch.found)
        watch.over.wait(_LOOK_SECONDS)


class _View:
    """Lines, and in a terminal a bar that moves below them and is gone afterwards."""

    def __init__(self, console: Console, directory: JobDirectory | None) -> None:
        self._console = console
        self._directory = directory
        self._rules = None if directory is None else FindingTail(directory.root / RULES_FOLDER)
        self._bar = Progress(
            TextColumn("[bold]{task.description}"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn("{task.fields[figures]}"),
            TimeRemainingColumn(compact=True),
            console=console,
            transient=True,
            expand=True,
            disable=not console.is_terminal,
        )
        self._task: TaskID | None = None
        self._shown: str | None = None
        self.sentences: list[str] = []

    def __enter__(self) -> _View:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def line(self, text: str) -> None:
        """Show a line of the log."""
        if text.startswith("clary: "):
            self.error(text.removeprefix("clary: "))
        else:
            self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def error(self, sentence: str) -> None:
        """Show a sentence on stderr."""
        self.sentences.append(sentence)
        print(f"clary: {sentence}", file=sys.stderr, flush=True)

    def warn(self) -> None:
        """Say what rules have found since the last call."""
        for finding in self._rules.new_findings() if self._rules is not None else ():
            if finding.kind != "note":
                self._console.print(warning(finding), style="yellow", markup=False, soft_wrap=True)

    def update(self, found: JobDescription | None) -> None:
        """Move the bar to where the program says it is, or say what the job waits for."""
        if self._bar.disable or found is None:
            return
        progress = RunProgress.read(self._directory) if self._directory is not None else None
        if progress is None:
            training = found.secondary_status == "Training"
            waiting = "training" if training else found.message or found.status
            progress = RunProgress(task=waiting, done=0, total=None)
        kind = progress.task.partition(" ")[0]
        if self._task is None or kind != self._shown:
            # A bar that counts something else begins anew, and so does its speed.
            if self._task is not None:
                self._bar.remove_task(self._task)
            self._task = self._bar.add_task("", total=None, figures="")
            self._shown = kind
        self._bar.update(
            self._task,
            description=progress.task,
            completed=progress.done,
            total=progress.total,
            figures=progress.figures,
        )
