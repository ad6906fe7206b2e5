"""Keeps `output/progress.json` up to date, for who watches the training from another process."""

from __future__ import annotations

import time

from clary.formats.job_directory import JobDirectory
from clary.formats.run_progress import RunProgress
from clary.vision.observer import EpochEnded, Observer, RunStarted, StepEnded

SECONDS_BETWEEN_WRITES = 0.2
LOSS_SMOOTHING = 0.9


class ProgressFile(Observer):
    """Writes a few times a second at most. Called as `progress(what, done, total)` before the run.

    Args:
        directory: of the job.
        written: False writes nothing, as for all but one of the processes that train together.
    """

    def __init__(self, directory: JobDirectory, *, written: bool = True) -> None:
        self._directory = directory
        self._off = not written
        self._run: RunStarted | None = None
        self._loss: float | None = None
        self._accuracy = ""
        self._pictures = 0
        self._since = 0.0
        self._wrote = 0.0

    def __call__(self, what: str, done: int, total: int | None) -> None:
        """Say how far work before the training is."""
        self._write(what, done, total)

    def run_started(self, run: RunStarted) -> None:
        """Remember the sizes."""
        self._run = run
        self._since = time.monotonic()

    def epoch_started(self, epoch: int) -> None:
        """Count the speed anew."""
        self._pictures = 0
        self._since = time.monotonic()

    def step_ended(self, step: StepEnded) -> None:
        """Say which step of all epochs is done, with loss and speed."""
        if self._run is None or step.mode != "train":
            return
        self._pictures += step.batch_size
        if self._too_soon():
            return
        loss = float(step.loss)
        kept = LOSS_SMOOTHING if self._loss is not None else 0.0
        self._loss = kept * (self._loss or 0.0) + (1 - kept) * loss
        rate = self._pictures / max(time.monotonic() - self._since, 1e-9)
        self._write(
            f"epoch {step.epoch}/{self._run.epochs}",
            (step.epoch - 1) * self._run.steps_per_epoch + step.step + 1,
            self._run.epochs * self._run.steps_per_epoch,
            f"loss {self._loss:.3f}{self._accuracy} · {rate:,.0f} img/s",
        )

    def epoch_ended(self, epoch: EpochEnded) -> None:
        """Remember the accuracy, to show beside the next epoch."""
        self._accuracy = f" · valid accuracy {epoch.valid_accuracy:.1%}"

    def progress(self, task: str, done: int, total: int) -> None:
        """Say how far work beside the epochs is."""
        if done <= self._pictures:
            self._since = time.monotonic()
        self._pictures = done
        rate = done / max(time.monotonic() - self._since, 1e-9)
        self._write(task, done, total, f"{rate:,.0f} img/s")

    def run_ended(self, error: BaseException | None) -> None:
        """Take the file away."""
        if not self._off:
            RunProgress.remove(self._directory)

    def _write(self, task: str, done: int, total: int | None, figures: str = "") -> None:
        if self._too_soon():
            return
        self._wrote = time.monotonic()
        RunProgress(task=task, done=done, total=total, figures=figures).write(self._directory)

    def _too_soon(self) -> bool:
        return self._off or time.monotonic() - self._wrote < SECONDS_BETWEEN_WRITES
