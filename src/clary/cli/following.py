"""A training in the terminal: what it says, a live bar below, and Ctrl-C to stop it."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

from clary.errors import ClaryError, ServiceError, ServiceUnreachable
from clary.formats.job_directory import JobDirectory
from clary.formats.run_progress import RunProgress
from clary.sdk.training_job import JobDescription, LogTail, TrainingJob

STOPS = (signal.SIGINT, signal.SIGTERM)
_LOOK_SECONDS = 0.15
_DESCRIBE_SECONDS = 0.5
# A service that does not stay is not started for ever.
_RECONNECTIONS = 5


def follow(job: TrainingJob, directory: JobDirectory | None) -> JobDescription:
    """Show a job until it has ended. Lines that begin with `clary:` go to stderr, and so does
    the reason of a failure.

    Ctrl-C and SIGTERM stop the job, and what it says meanwhile is still shown; a second one
    leaves it to itself. A service that was killed is started again; the job goes on without it.

    Args:
        job: what to show.
        directory: of the job, for the bar; None where it is on another machine.

    Raises:
        ServiceError: the service does not answer any more; the job goes on.
        KeyboardInterrupt: Ctrl-C came a second time.
    """
    with _View(Console(), directory) as view, _counting_stops() as asked:
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
    tail = LogTail(job)
    reconnections = 0
    while True:
        watch = _Watch(job)
        try:
            _show(view, watch, tail, job, asked)
            return watch.result()
        except ServiceUnreachable:
            if reconnections == _RECONNECTIONS:
                raise
        finally:
            watch.over.set()
        reconnections += 1
        job.session.reconnect()
        view.error("the service was lost for a moment, and the job has gone on without it")


def _show(view: _View, watch: _Watch, tail: LogTail, job: TrainingJob, asked: list[int]) -> None:
    stopping = False
    while True:
        over = watch.over.is_set()
        for line in tail.new_lines():
            view.line(line.message)
        if over:
            return
        if len(asked) > 1:
            raise KeyboardInterrupt
        if asked and not stopping:
            stopping = True
            view.error(f"stopping {job.name}, its checkpoint is kept; Ctrl-C again leaves it")
            job.stop()
        view.update(watch.found)
        watch.over.wait(_LOOK_SECONDS)


class _Watch:
    """Asks how the job stands, on a thread of its own: the service may take its time to answer."""

    def __init__(self, job: TrainingJob) -> None:
        self.found: JobDescription | None = None
        self._error: ClaryError | None = None
        self.over = threading.Event()
        self._job = job
        threading.Thread(target=self._run, name="job-watch", daemon=True).start()

    def result(self) -> JobDescription:
        """The job at its end, once `over` is set.

        Raises:
            ClaryError: how it ended could not be asked.
        """
        if self._error is not None:
            raise self._error
        if self.found is None:
            raise ServiceError(f"nothing is known about {self._job.name}")
        return self.found

    def _run(self) -> None:
        try:
            while not self.over.is_set():
                self.found = self._job.description()
                if self.found.ended:
                    return
                self.over.wait(_DESCRIBE_SECONDS)
        except ClaryError as error:
            self._error = error
        finally:
            self.over.set()


class _View:
    """Lines, and in a terminal a bar that moves below them and is gone afterwards."""

    def __init__(self, console: Console, directory: JobDirectory | None) -> None:
        self._console = console
        self._directory = directory
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


@contextmanager
def _counting_stops() -> Iterator[list[int]]:
    """Ctrl-C and SIGTERM are counted, so that none of them tears a line out of the log."""
    asked: list[int] = []

    def count(number: int, _frame: FrameType | None) -> None:
        asked.append(number)

    # A shell ignores SIGINT for what it puts in the background, and that stays so.
    numbers = [number for number in STOPS if signal.getsignal(number) != signal.SIG_IGN]
    earlier = {number: signal.signal(number, count) for number in numbers}
    try:
        yield asked
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)
