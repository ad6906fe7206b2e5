"""What `finetune` asks of a way to train: one protocol, two ways (pictures and features)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch

from clary.formats.timeline import Loading
from clary.vision.datasets import Split
from clary.vision.finetuning.history import Totals


class Training(Protocol):
    """One way through the epochs.

    Owned by one `finetune` call and used on its thread only. A step is one optimizer step. All
    that a step draws at random is a function of (seed, rank, epoch, step), so a run that starts
    again from `state()` at `step` continues as if nothing had happened.
    """

    steps_per_epoch: int
    step: int
    """The next step of the epoch: where a resumed run goes on."""
    learning_rate: float
    """The head's rate at the last step."""

    @property
    def shared_seconds(self) -> float:
        """What was done for it so far while others of its group were called; 0 without a group."""
        ...

    @property
    def loadings(self) -> tuple[Loading, Loading] | None:
        """How pictures of the training and of the validation come to it; None: it needs none."""
        ...

    def train_epoch(
        self, epoch: int, start: int, totals: Totals, should_pause: Callable[[], bool]
    ) -> bool:
        """Train the steps of an epoch from `start`, adding to `totals`.

        Args:
            epoch: from 1.
            start: the first step, from 0.
            totals: of the epoch so far.
            should_pause: asked before each step.

        Returns:
            Whether the epoch was finished; False when it paused at `step`.

        Raises:
            TrainingError: the loss is not finite, or memory does not suffice.
            DataError: a picture cannot be read.
        """
        ...

    def validate(self, epoch: int) -> Totals:
        """Evaluate on the validation split, after an epoch.

        Raises:
            DataError: a picture cannot be read.
        """
        ...

    def logits(self, split: Split) -> npt.NDArray[np.float32]:
        """The classifier's answers (N, C) to a split, in its order.

        Raises:
            DataError: a picture cannot be read.
        """
        ...

    def state(self) -> dict[str, Any]:
        """All that a resumed run needs beside the position."""
        ...

    def load_state(self, state: dict[str, Any]) -> None:
        """Put back what `state` gave."""
        ...

    def weights(self) -> dict[str, torch.Tensor]:
        """A copy, on the CPU, of the weights that `validate` judged."""
        ...

    def load_weights(self, weights: dict[str, torch.Tensor]) -> None:
        """Put the weights of the best epoch into the classifier."""
        ...
