"""The loop over epochs: train, validate, remember the best, keep checkpoints, stop early.

A checkpoint is written at the end of an epoch and within one, whenever the last is older than
`SECONDS_BETWEEN_CHECKPOINTS` (or, where writing one is slow, than fifty times that), and always
when a run stops. A run that was killed goes on from the
last one and, because every step's randomness is a function of its position, repeats exactly what
the uninterrupted run does.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from clary.errors import ClaryError, Interrupted, NonFiniteLoss, StorageError
from clary.formats.training_options import TrainingOptions
from clary.vision.checkpoints import load_tree, save_tree
from clary.vision.finetuning.context import RunContext
from clary.vision.finetuning.history import History, Totals
from clary.vision.finetuning.training import Training
from clary.vision.observer import EpochEnded

SECONDS_BETWEEN_CHECKPOINTS = 20.0
# At most two percent of the time goes into checkpoints.
SAVINGS_BETWEEN_CHECKPOINTS = 50
LAST_FILE = "last.safetensors"


def best_file(checkpoints: Path, epoch: int) -> Path:
    """Where the weights of a best epoch are kept."""
    return checkpoints / f"best-{epoch:05}.safetensors"


@dataclass(frozen=True)
class RunIdentity:
    """What must be the same, or is compared, when a run goes on from a checkpoint."""

    options: TrainingOptions
    classes: tuple[str, ...]
    data: str
    held_out: str
    weights: str
    output_data: Path
    checkpoints: Path


class EpochLoop:
    """Goes through the epochs of one run. Owned by `finetune`; all ranks run it alike."""

    def __init__(self, training: Training, identity: RunIdentity, context: RunContext) -> None:
        self.training = training
        self.identity = identity
        self.hardware = context.hardware
        self.processes = context.processes
        self.observers = context.observers
        self.stop = context.stop
        self.history = History(identity.options.monitor)
        self.epoch = 1
        self.totals = Totals(self.hardware.device)
        self.best_weights: dict[str, torch.Tensor] = {}
        self._best_on_disk = 0
        self._saved_at = time.monotonic()
        self._saved_position = (0, 0)
        self._seconds_to_save = 0.0

    @property
    def finished(self) -> bool:
        """Whether there is no epoch left, or patience has run out."""
        return self.epoch > self.identity.options.epochs or self.out_of_patience

    @property
    def out_of_patience(self) -> bool:
        """Whether too many epochs have passed without a better one."""
        patience = self.identity.options.patience
        return bool(patience) and self.history.epochs_since_best() >= patience

    def run(self) -> History:
        """Train until the run is finished, and put the best epoch's weights in place.

        Raises:
            Interrupted: a stop was asked for; the checkpoint is kept.
            ClaryError: the run cannot go on; the checkpoint of the last good step is kept.
        """
        while not self.finished:
            self.run_epoch()
        return self.finish()

    def finish(self) -> History:
        """After the last epoch: keep the end as a checkpoint, put the best weights in place.

        Raises:
            StorageError: the folder cannot be written, or the disk is full.
        """
        if self.out_of_patience and self.epoch <= self.identity.options.epochs:
            self.observers.message(
                f"stopped after epoch {self.epoch - 1}: no better one for "
                f"{self.history.epochs_since_best()} epochs"
            )
        if self._saved_position != (self.epoch, self.training.step):
            self.save()
        if self.best_weights:
            self.training.load_weights(self.best_weights)
        return self.history

    def run_epoch(self) -> None:
        """Train one epoch, or what is left of it, and judge it.

        Raises:
            Interrupted: a stop was asked for; the checkpoint is kept.
            ClaryError: the run cannot go on; the checkpoint of the last good step is kept.
        """
        if self.observers:
            self.observers.epoch_started(self.epoch)
        started = self._clock()
        pictures_before = self.totals.values()[2]
        try:
            while not self.training.train_epoch(
                self.epoch, self.training.step, self.totals, self._should_pause
            ):
                self._require_finite(self.totals.loss, "training")
                self.save()
                if self.processes.any(self.stop.requested, self.hardware.device):
                    raise self._interrupted()
        except ClaryError as error:
            # Weights that hold a NaN are no checkpoint; the earlier one is the last good step.
            # With several processes the others may be elsewhere, so nobody waits for them.
            healthy = bool(torch.isfinite(self.totals.sums[0])) and self.processes.world_size == 1
            if healthy and not isinstance(error, (Interrupted, StorageError, NonFiniteLoss)):
                self.save()
            raise
        local = self.totals.values()[2] - pictures_before
        self.processes.add_up(self.totals.sums)
        train_seconds = self._clock() - started
        with self.observers.phase("evaluation"):
            valid = self.training.validate(self.epoch)
        self._require_finite(valid.loss, "validation")
        self._end_epoch(
            valid, local * self.processes.world_size / max(train_seconds, 1e-9), started
        )

    def _require_finite(self, loss: float, what: str) -> None:
        """A checkpoint of weights that went wrong would take the place of the last good one."""
        if not math.isfinite(loss) and self.totals.values()[2]:
            raise NonFiniteLoss(
                f"the {what} loss became {loss} in epoch {self.epoch}: try a lower --lr, "
                "--clip-grad 1, or --precision fp32; the checkpoint before it is kept"
            )

    def _end_epoch(self, valid: Totals, images_per_second: float, started: float) -> None:
        best = self.history.is_best(valid.loss, valid.accuracy)
        record = EpochEnded(
            epoch=self.epoch,
            epochs=self.identity.options.epochs,
            train_loss=self.totals.loss,
            train_accuracy=self.totals.accuracy,
            valid_loss=valid.loss,
            valid_accuracy=valid.accuracy,
            learning_rate=self.training.learning_rate,
            seconds=self._clock() - started,
            images_per_second=images_per_second,
            best=best,
        )
        self.history.epochs.append(record)
        if best:
            self.best_weights = self.training.weights()
        self.epoch += 1
        self.training.step = 0
        self.totals = Totals(self.hardware.device)
        if self.processes.main:
            self.history.write(self.identity.output_data)
        if self.processes.any(self._checkpoint_due(), self.hardware.device):
            self.save()
        if self.observers:
            self.observers.epoch_ended(record)

    def _clock(self) -> float:
        """In seconds; steps that were taken in another run's turn are part of this one's time."""
        return time.monotonic() + self.training.shared_seconds

    def _should_pause(self) -> bool:
        return self.stop.requested or self._checkpoint_due()

    def _checkpoint_due(self) -> bool:
        pause = max(
            SECONDS_BETWEEN_CHECKPOINTS, SAVINGS_BETWEEN_CHECKPOINTS * self._seconds_to_save
        )
        return self.processes.main and time.monotonic() - self._saved_at >= pause

    def _best_epoch(self) -> int:
        return self.history.best.epoch if self.history.best else 0

    def _interrupted(self) -> Interrupted:
        options = self.identity.options
        return Interrupted(
            f"stopped in epoch {self.epoch} of {options.epochs} after step {self.training.step} of "
            f"{self.training.steps_per_epoch}; the checkpoint is kept in "
            f"{self.identity.checkpoints}"
        )

    def save(self) -> None:
        """Write the best weights where they are new, then the checkpoint that names them.

        Raises:
            StorageError: the folder cannot be written, or the disk is full.
        """
        began = time.monotonic()
        totals = self.processes.add_up(self.totals.sums.clone()).tolist()
        with self.observers.phase("checkpoint"):
            if self.processes.main:
                folder = self.identity.checkpoints
                best = best_file(folder, self._best_epoch())
                if self._best_on_disk != self._best_epoch():
                    save_tree(best, self.best_weights)
                save_tree(folder / LAST_FILE, self._state(totals))
                # Only now does no checkpoint name an earlier best one.
                for file in folder.glob("best-*.safetensors"):
                    if file != best:
                        file.unlink(missing_ok=True)
        self._best_on_disk = self._best_epoch()
        self._saved_at = time.monotonic()
        self._seconds_to_save = self._saved_at - began
        self._saved_position = (self.epoch, self.training.step)

    def _state(self, totals: list[float]) -> dict[str, Any]:
        return {
            "options": self.identity.options.model_dump(mode="json"),
            "classes": list(self.identity.classes),
            "data": self.identity.data,
            "held_out": self.identity.held_out,
            "weights": self.identity.weights,
            "epoch": self.epoch,
            "step": self.training.step,
            "world_size": self.processes.world_size,
            "totals": totals,
            "history": self.history.to_state(),
            "training": self.training.state(),
        }

    def resume(self, checkpoint: dict[str, Any]) -> None:
        """Go on from a checkpoint that `resuming.accept` found to fit.

        Raises:
            FormatError: the best weights that it names cannot be read.
        """
        self.history = History.from_state(self.identity.options.monitor, checkpoint["history"])
        self.training.load_state(checkpoint["training"])
        self.epoch = checkpoint["epoch"]
        self.training.step = checkpoint["step"]
        # The saved totals are those of all processes together.
        if self.processes.main:
            self.totals = Totals(self.hardware.device, checkpoint["totals"])
        if self.history.best:
            self._best_on_disk = self._best_epoch()
            self.best_weights = load_tree(best_file(self.identity.checkpoints, self._best_on_disk))
        self._saved_position = (self.epoch, self.training.step)
