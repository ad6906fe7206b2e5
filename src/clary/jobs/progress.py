"""What a person sees of a training: a live bar in a terminal, plain lines elsewhere.

Both print one line per epoch that a regular expression can read:

    epoch 3/10: train_loss=0.4021 train_accuracy=0.8812 valid_loss=0.3904 valid_accuracy=0.8900 …
"""

from __future__ import annotations

import time

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

from clary.vision.observer import EpochEnded, Observer, RunStarted, StepEnded

SECONDS_BETWEEN_UPDATES = 0.2
SECONDS_BETWEEN_PLAIN_LINES = 30.0
LOSS_SMOOTHING = 0.9


def epoch_line(epoch: EpochEnded) -> str:
    """The line of an epoch; loss and accuracy with four decimals, `best` last where it is."""
    return (
        f"epoch {epoch.epoch}/{epoch.epochs}: "
        f"train_loss={epoch.train_loss:.4f} train_accuracy={epoch.train_accuracy:.4f} "
        f"valid_loss={epoch.valid_loss:.4f} valid_accuracy={epoch.valid_accuracy:.4f} "
        f"lr={epoch.learning_rate:.3g} images_per_second={epoch.images_per_second:.1f} "
        f"seconds={epoch.seconds:.1f}{' best' if epoch.best else ''}"
    )


class PlainProgress(Observer):
    """Lines for a log: one an epoch, and one now and then within a long one."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._run: RunStarted | None = None
        self._last_line = time.monotonic()

    def run_started(self, run: RunStarted) -> None:
        """Remember the sizes."""
        self._run = run
        self._last_line = time.monotonic()

    def step_ended(self, step: StepEnded) -> None:
        """Say where a long epoch is."""
        now = time.monotonic()
        quiet = now - self._last_line < SECONDS_BETWEEN_PLAIN_LINES
        if self._run is None or quiet or step.mode != "train":
            return
        self._last_line = now
        self._print(
            f"  epoch {step.epoch}: step {step.step + 1} of {self._run.steps_per_epoch}, "
            f"loss {float(step.loss):.4f}"
        )

    def epoch_ended(self, epoch: EpochEnded) -> None:
        """Print the epoch's line."""
        self._last_line = time.monotonic()
        self._print(epoch_line(epoch))

    def message(self, text: str) -> None:
        """Print it."""
        self._print(f"note: {text}")

    def progress(self, task: str, done: int, total: int) -> None:
        """Say it at the end, and now and then."""
        now = time.monotonic()
        if done < total and now - self._last_line < SECONDS_BETWEEN_PLAIN_LINES:
            return
        self._last_line = now
        self._print(f"{task}: {done} of {total} pictures")

    def _print(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)


class TerminalProgress(Observer):
    """A live bar with loss, accuracy of the last epoch, images a second and the time left."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bar = Progress(
            TextColumn("[bold]{task.description}"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn("{task.fields[figures]}"),
            TimeRemainingColumn(compact=True),
            console=console,
            transient=True,
            expand=True,
        )
        self._task: TaskID | None = None
        self._work: TaskID | None = None
        self._run: RunStarted | None = None
        self._loss = 0.0
        self._accuracy = ""
        self._pictures = 0
        self._since = time.monotonic()
        self._updated = 0.0

    def run_started(self, run: RunStarted) -> None:
        """Show the bar over all epochs."""
        self._end_work()
        self._run = run
        total = run.epochs * run.steps_per_epoch
        done = min(total, (run.first_epoch - 1) * run.steps_per_epoch)
        self._task = self._bar.add_task("training", total=total, completed=done, figures="")
        self._bar.start()

    def epoch_started(self, epoch: int) -> None:
        """Count the speed anew."""
        self._pictures = 0
        self._since = time.monotonic()

    def step_ended(self, step: StepEnded) -> None:
        """Move the bar, a few times a second."""
        if step.mode != "train":
            return
        self._pictures += step.batch_size
        now = time.monotonic()
        if self._run is None or self._task is None or now - self._updated < SECONDS_BETWEEN_UPDATES:
            return
        self._updated = now
        loss = float(step.loss)
        self._loss = (
            LOSS_SMOOTHING * self._loss + (1 - LOSS_SMOOTHING) * loss if self._loss else loss
        )
        rate = self._pictures / max(now - self._since, 1e-9)
        self._bar.update(
            self._task,
            completed=(step.epoch - 1) * self._run.steps_per_epoch + step.step + 1,
            description=f"epoch {step.epoch}/{self._run.epochs}",
            figures=f"loss {self._loss:.3f}{self._accuracy} · {rate:,.0f} img/s",
        )

    def epoch_ended(self, epoch: EpochEnded) -> None:
        """Print the epoch's line above the bar."""
        self._accuracy = f" · valid accuracy {epoch.valid_accuracy:.1%}"
        self._print(epoch_line(epoch))

    def message(self, text: str) -> None:
        """Print it above the bar."""
        self._print(f"note: {text}")

    def progress(self, task: str, done: int, total: int) -> None:
        """Show a bar of its own for work beside the epochs."""
        if self._work is None:
            self._bar.start()
            self._work = self._bar.add_task(task, total=total, figures="")
            self._since = time.monotonic()
        rate = done / max(time.monotonic() - self._since, 1e-9)
        self._bar.update(self._work, completed=done, description=task, figures=f"{rate:,.0f} img/s")
        if done >= total:
            self._end_work()

    def run_ended(self, error: BaseException | None) -> None:
        """Take the bar away."""
        self._end_work()
        self._bar.stop()
        if self._task is not None:
            self._bar.remove_task(self._task)
            self._task = None

    def _end_work(self) -> None:
        if self._work is not None:
            self._bar.remove_task(self._work)
            self._work = None
            self._bar.stop()

    def _print(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)


def progress_for(console: Console) -> Observer:
    """The observer that fits where the output goes."""
    return TerminalProgress(console) if console.is_terminal else PlainProgress(console)
