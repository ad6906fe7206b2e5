"""A tuning job in the terminal: a line for each trial that ends, those that run live below them,
and Ctrl-C to stop the search.
"""

from __future__ import annotations

import sys
from pathlib import Path

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from clary.cli.trial_table import (
    TrialTable,
    clock,
    epochs_text,
    plain_line,
    status_word,
)
from clary.cli.watching import RECONNECTIONS, Watch
from clary.errors import ServiceError, ServiceUnreachable
from clary.formats.job_directory import JobDirectory
from clary.formats.run_progress import RunProgress
from clary.formats.training_options import TrainingOptions
from clary.sdk.objective_search import require_objective
from clary.sdk.tuning_job import TuningJob
from clary.sdk.tuning_resume import NumberedTrial
from clary.sdk.tuning_snapshot import TuningSnapshot, TuningWatcher

_LOOK_SECONDS = 0.15
_REASON_LIMIT = 300
_DEFAULT_EPOCHS = TrainingOptions.model_fields["epochs"].default


def follow_trials(job: TuningJob, asked: list[int]) -> TuningSnapshot:
    """Show a tuning job until it has ended.

    Ctrl-C and SIGTERM stop it and its trials; a second one leaves it to itself. A service that was
    killed is started again; the tuning job goes on where it was.

    Args:
        job: what to show.
        asked: of `counting_stops`: grows with each Ctrl-C.

    Returns:
        How it stands at its end.

    Raises:
        ServiceError: the service does not answer any more, and the job goes on; or the first trial
            has ended without its objective, and the job was stopped.
        KeyboardInterrupt: Ctrl-C came a second time.
    """
    settings = job.session.settings
    jobs = None if settings is None else settings.jobs_dir
    with _View(Console(highlight=False), jobs) as view:
        try:
            return _shown_to_its_end(view, job, asked)
        except ServiceUnreachable as error:
            raise ServiceError(
                f"{error}; the tuning job goes on, and `clary tune --attach {job.name}` shows it"
            ) from error


def _shown_to_its_end(view: _View, job: TuningJob, asked: list[int]) -> TuningSnapshot:
    watcher = TuningWatcher(job)
    reconnections = 0
    while True:
        watch = Watch(watcher.snapshot, pause_seconds=job.poll_seconds)
        try:
            _show(view, watch, job, asked)
            return watch.result()
        except ServiceUnreachable:
            if reconnections == RECONNECTIONS:
                raise
        finally:
            watch.over.set()
        reconnections += 1
        job.session.reconnect()
        view.error("the service was lost for a moment, and the tuning job goes on")


def _show(view: _View, watch: Watch[TuningSnapshot], job: TuningJob, asked: list[int]) -> None:
    stopping = False
    while True:
        over = watch.over.is_set()
        for ended in view.update(watch.found):
            require_objective(job, ended.trial)
        if over:
            return
        if len(asked) > 1:
            view.error(f"left {job.name} to itself: `clary tune --attach {job.name}` shows it")
            raise KeyboardInterrupt
        if asked and not stopping:
            stopping = True
            view.error(f"stopping {job.name}, what is known is kept; Ctrl-C again leaves it")
            job.stop()
        watch.over.wait(_LOOK_SECONDS)


class _View:
    """Lines of ended trials, and in a terminal those that run below them, gone afterwards."""

    def __init__(self, console: Console, jobs: Path | None) -> None:
        self._console = console
        self._jobs = jobs
        self._live = Live(console=console, transient=True, auto_refresh=False)
        self._table: TrialTable | None = None
        self._shown: set[int] = set()
        self._best: float | None = None
        self._reason: str | None = None

    def __enter__(self) -> _View:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def error(self, sentence: str) -> None:
        """Show a sentence on stderr."""
        print(f"clary: {sentence}", file=sys.stderr, flush=True)

    def update(self, moment: TuningSnapshot | None) -> list[NumberedTrial]:
        """Show what is new; returns the trials that have ended since the last call."""
        if moment is None:
            return []
        if self._table is None:
            self._table = self._begin(moment)
        ended = [one for one in moment.done if one.number not in self._shown]
        for one in ended:
            self._shown.add(one.number)
            self._print_ended(self._table, one, moment)
        if self._console.is_terminal:
            self._live.update(self._running(self._table, moment), refresh=True)
        return ended

    def _begin(self, moment: TuningSnapshot) -> TrialTable:
        table = TrialTable(moment.found, self._console.width)
        if self._console.is_terminal:
            if table.left_out:
                self._line(f"too narrow for {', '.join(table.left_out)}", "dim")
            for line in table.heading():
                self._line(line, "bold")
        return table

    def _print_ended(self, table: TrialTable, one: NumberedTrial, moment: TuningSnapshot) -> None:
        best = self._is_best(one, moment)
        if self._console.is_terminal:
            line = self._trial_line(table, one, moment)
            style = "bold green" if best else "red" if one.trial.status == "Failed" else ""
            self._line(f"{line}  best" if best else line, style)
        else:
            line = plain_line(one, moment.found)
            self._line(f"{line} best" if best else line)
        self._print_reason(one.trial.name, one.trial.failure_reason)

    def _print_reason(self, job: str, reason: str | None) -> None:
        """Say why a trial failed, unless the one before it has failed for the same reason."""
        if reason and reason != self._reason:
            text = " ".join(reason.split())
            if len(text) > _REASON_LIMIT:
                text = f"{text[:_REASON_LIMIT].rstrip()} … (`clary jobs logs {job}` says all)"
            self._line(f"       {text}", "red", wrapped=self._console.is_terminal)
        self._reason = reason or self._reason

    def _is_best(self, one: NumberedTrial, moment: TuningSnapshot) -> bool:
        """Whether a trial is better than all that were shown before it."""
        value = one.trial.objective
        if value is None:
            return False
        sign = 1 if moment.found.direction == "Maximize" else -1
        if self._best is not None and sign * value <= sign * self._best:
            return False
        self._best = value
        return True

    def _running(self, table: TrialTable, moment: TuningSnapshot) -> RenderableType:
        """What stands below the lines: the trials that run, as many as fit, and how far it is."""
        running = [one for one in moment.trials if not one.trial.ended]
        room = max(1, self._console.height - 4)
        lines = [
            Text(self._trial_line(table, one, moment), style="cyan", no_wrap=True)
            for one in running[:room]
        ]
        summary = Text(_summary(moment), style="bold", no_wrap=True, overflow="ellipsis")
        preparing = self._preparing(running, moment)
        if preparing is not None:
            summary.append(f" · {preparing}", style="dim")
        return Group(*lines, summary)

    def _preparing(self, running: list[NumberedTrial], moment: TuningSnapshot) -> str | None:
        """What the first trial does that has not come to an epoch yet, such as computing features;
        None where nothing tells.
        """
        for one in running:
            if self._jobs is None or "epoch" in moment.metrics.get(one.trial.name, {}):
                continue
            progress = RunProgress.read(JobDirectory(self._jobs / one.trial.name))
            if progress is not None:
                of = "" if progress.total is None else f" of {progress.total}"
                return f"{progress.task} {progress.done}{of}"
        return None

    def _trial_line(self, table: TrialTable, one: NumberedTrial, moment: TuningSnapshot) -> str:
        metrics = moment.metrics.get(one.trial.name, {})
        epochs = epochs_text(one.trial, metrics, moment.found.fixed, _DEFAULT_EPOCHS)
        return table.line(one, metrics, epochs)

    def _line(self, text: str, style: str = "", *, wrapped: bool = False) -> None:
        self._console.print(text, style=style, markup=False, soft_wrap=not wrapped)
        self._console.file.flush()


def _summary(moment: TuningSnapshot) -> str:
    """`best 0.9608 (trial 7) · 8 of 20 done · 4 running · about 0:12 left`."""
    words = []
    if moment.best is not None and moment.best.trial.objective is not None:
        words.append(f"best {moment.best.trial.objective:.4f} (trial {moment.best.number})")
    done = len(moment.done)
    words.append(f"{done} done" if moment.total is None else f"{done} of {moment.total} done")
    for word in ("running", "waiting", "stopping"):
        count = sum(status_word(one.trial) == word for one in moment.trials)
        if count:
            words.append(f"{count} {word}")
    left = moment.seconds_left
    if left is not None and not moment.ended:
        words.append(f"about {clock(left)} left")
    return " · ".join(words)
