"""The record of a run, epoch by epoch: what is printed, plotted, and decides which was best."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from clary.formats.files import write_text
from clary.formats.training_options import Monitor
from clary.vision.observer import EpochEnded

EPOCHS_FILE = "epochs.jsonl"


class Totals:
    """Sums of loss, hits and pictures on one device; read only at the end of an epoch."""

    def __init__(self, device: torch.device, values: Sequence[float] = (0.0, 0.0, 0.0)) -> None:
        # Doubles, so that a resumed sum is the uninterrupted one to the last bit.
        self.sums = torch.tensor(list(values), dtype=torch.float64, device=device)

    def add(self, loss_sum: torch.Tensor, hits: torch.Tensor, count: float) -> None:
        """Add a batch: its summed loss, its number of hits, its number of pictures."""
        self.sums[0] += loss_sum.detach()
        self.sums[1] += hits
        self.sums[2] += count

    def values(self) -> list[float]:
        """Loss sum, hits and count."""
        return [float(value) for value in self.sums.tolist()]

    @property
    def loss(self) -> float:
        """Mean loss per picture, NaN when there was none."""
        loss_sum, _, count = self.values()
        return loss_sum / count if count else float("nan")

    @property
    def accuracy(self) -> float:
        """Part of the pictures that were right, NaN when there was none."""
        _, hits, count = self.values()
        return hits / count if count else float("nan")


class History:
    """The epochs so far and the best of them."""

    def __init__(self, monitor: Monitor, epochs: Sequence[EpochEnded] = ()) -> None:
        self.monitor: Monitor = monitor
        self.epochs = list(epochs)
        self._lines: list[str] = []

    @property
    def best(self) -> EpochEnded | None:
        """The best epoch so far, the first one of equals."""
        marked = [epoch for epoch in self.epochs if epoch.best]
        return marked[-1] if marked else None

    def is_best(self, valid_loss: float, valid_accuracy: float) -> bool:
        """Whether an epoch with these figures would be the best.

        Equal accuracies are told apart by the loss, because small validation sets often tie.
        """
        best = self.best
        if best is None:
            return True
        if self.monitor == "valid_loss":
            return valid_loss < best.valid_loss
        return (valid_accuracy, -valid_loss) > (best.valid_accuracy, -best.valid_loss)

    def epochs_since_best(self) -> int:
        """How many epochs have passed without a better one."""
        best = self.best
        return self.epochs[-1].epoch - best.epoch if best and self.epochs else 0

    def write(self, folder: Path) -> None:
        """Write `epochs.jsonl`, an object per epoch.

        Raises:
            StorageError: the folder cannot be written.
        """
        # Written anew after each epoch, but encoded once: heads take thousands of short epochs.
        for epoch in self.epochs[len(self._lines) :]:
            self._lines.append(json.dumps(asdict(epoch)) + "\n")
        write_text(folder / EPOCHS_FILE, "".join(self._lines))

    def to_state(self) -> list[dict[str, Any]]:
        """For a checkpoint."""
        return [asdict(epoch) for epoch in self.epochs]

    @classmethod
    def from_state(cls, monitor: Monitor, state: Sequence[dict[str, Any]]) -> History:
        """From a checkpoint."""
        return cls(monitor, [EpochEnded(**epoch) for epoch in state])
