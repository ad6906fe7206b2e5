"""Training the head of a frozen backbone, on features that are computed once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from clary.errors import Interrupted, NonFiniteLoss
from clary.vision.datasets import PictureDataset, Split
from clary.vision.features import Features
from clary.vision.finetuning.context import RunContext
from clary.vision.finetuning.head_features import FeatureShelf
from clary.vision.finetuning.head_group import ROWS_AT_ONCE, HeadGroup, Member
from clary.vision.finetuning.history import Totals
from clary.vision.finetuning.plan import Plan
from clary.vision.finetuning.starting import StartingModel
from clary.vision.observer import StepEnded


class HeadTraining:
    """Trains a classifier's head on cached features. See `Training` for the protocol.

    Under `torchrun` every process trains the same head on all features: the work is too small
    to be worth dividing.

    Args:
        model: the backbone and the head that learns.
        dataset: its splits.
        plan: how the head is trained.
        context: what surrounds the run.
        shelf: keeps the features.
        group: heads to take the steps with; None trains this one alone.
    """

    def __init__(
        self,
        model: StartingModel,
        dataset: PictureDataset,
        plan: Plan,
        context: RunContext,
        *,
        shelf: FeatureShelf,
        group: HeadGroup | None = None,
    ) -> None:
        self.hardware = context.hardware
        self.processes = context.processes
        self.observers = context.observers
        self.stop = context.stop
        self.plan = plan
        self.model = model
        self.classifier = self.hardware.placed(model.classifier)
        self.classifier.eval()
        self._shelf = shelf
        self._said: set[str] = set()
        self.step = 0
        self.learning_rate = plan.learning_rate
        # Also where a group has them: their progress and their notes are this run's, too.
        train = self._features(dataset.train, "training", plan.options.views)
        valid = self._features(dataset.splits["valid"], "validation", 1)
        self.group = group or HeadGroup(train, valid, plan, self.hardware)
        self.steps_per_epoch = self.group.steps_per_epoch
        self.member = Member(self.classifier, plan)
        self.group.join(self.member)

    @property
    def loadings(self) -> None:
        """None: its features lie in memory."""
        return None

    @property
    def shared_seconds(self) -> float:
        """What was done for this head so far while others of its group were called."""
        return self.member.shared_seconds

    def _features(self, split: Split, what: str, views: int) -> Features:
        def progress(done: int, total: int) -> None:
            if self.stop.requested:
                raise Interrupted(
                    f"stopped after the features of {done} of {total} {what} pictures; those "
                    "computed so far are kept"
                )
            self.observers.progress(f"features of the {what} pictures", done, total)

        # One process computes, the others find the result in the cache.
        if not self.processes.main:
            self.processes.wait()
        features = self._shelf.features(
            self.model,
            split,
            self.plan,
            views=views,
            progress=progress,
            message=self._say_once,
        )
        if self.processes.main:
            self.processes.wait()
        return features

    def _say_once(self, text: str) -> None:
        if text not in self._said:
            self._said.add(text)
            self.observers.message(text)

    def train_epoch(
        self, epoch: int, start: int, totals: Totals, should_pause: Callable[[], bool]
    ) -> bool:
        """Train the steps of an epoch from `start`; see `Training`.

        Raises:
            NonFiniteLoss: the loss became NaN or infinite.
        """
        self.step = start
        while self.step < self.steps_per_epoch:
            pause = self.group.is_at(epoch, self.step) and should_pause()
            if self.processes.any(pause, self.hardware.device):
                return False
            self._train_step(epoch, totals)
            self.step += 1
        return True

    def _train_step(self, epoch: int, totals: Totals) -> None:
        self.learning_rate = self.member.learning_rate(epoch, self.step, self.steps_per_epoch)
        result = self.group.train_step(self.member, epoch, self.step, self.observers)
        loss, hits, count = result.loss, result.hits, result.pictures
        # Every process sees all rows, and the loop adds the processes up.
        share = 1 / self.processes.world_size
        totals.add(loss * count * share, hits * share, count * share)
        if not bool(torch.isfinite(loss)):
            done = (epoch - 1) * self.steps_per_epoch + self.step
            raise NonFiniteLoss(
                f"the loss became {float(loss)} at step {done + 1} (epoch {epoch}): try a lower "
                f"--lr than {self.plan.learning_rate:g}, or --clip-grad 1"
            )
        if self.observers:
            self.observers.step_ended(
                StepEnded("train", epoch, self.step, loss, count, self.learning_rate)
            )

    def validate(self, epoch: int) -> Totals:
        """Evaluate the head on the validation split's features."""
        totals = Totals(self.hardware.device)
        for step, part in enumerate(self.group.judge(self.member)):
            loss, hits, count, labels, predictions = part
            totals.add(loss * count, hits, count)
            if self.observers:
                self.observers.step_ended(
                    StepEnded("valid", epoch, step, loss, count, 0.0, labels, predictions)
                )
        return totals

    @torch.inference_mode()
    def logits(self, split: Split) -> npt.NDArray[np.float32]:
        """The classifier's answers (N, C) to a split, in its order, from its features.

        Raises:
            DataError: a picture cannot be read.
        """
        features = self._features(split, "held-out", 1).views[0]
        answers = [
            self.classifier.forward_head(
                torch.from_numpy(features[start : start + ROWS_AT_ONCE]).to(self.hardware.device)
            )
            .float()
            .cpu()
            .numpy()
            for start in range(0, len(split), ROWS_AT_ONCE)
        ]
        return np.concatenate(answers)

    def state(self) -> dict[str, Any]:
        """The head and its optimizer; see `Training`."""
        return {"bank": self.group.state(self.member)}

    def load_state(self, state: dict[str, Any]) -> None:
        """Put back what `state` gave."""
        self.group.load_state(state["bank"])

    def weights(self) -> dict[str, torch.Tensor]:
        """A copy, on the CPU, of the head that `validate` judged."""
        return {name: tensor.cpu() for name, tensor in self.group.export(self.member).items()}

    def load_weights(self, weights: dict[str, torch.Tensor]) -> None:
        """Put the head of the best epoch into the classifier."""
        self.classifier.head.load_state_dict(weights)
