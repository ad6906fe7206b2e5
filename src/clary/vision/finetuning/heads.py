"""Training the head of a frozen backbone, on features that are computed once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from clary.errors import Interrupted, NonFiniteLoss
from clary.vision.datasets import PictureDataset, Split
from clary.vision.features import Features, HeadBank, HeadOptions, extract_features
from clary.vision.finetuning.context import RunContext
from clary.vision.finetuning.history import Totals
from clary.vision.finetuning.plan import Plan
from clary.vision.finetuning.starting import StartingModel
from clary.vision.models import Classifier
from clary.vision.observer import StepEnded
from clary.vision.optimizers import learning_rate_factor
from clary.vision.sampling import epoch_order
from clary.vision.transforms import view_of_epoch

ROWS_AT_ONCE = 4096


class HeadTraining:
    """Trains a classifier's head on cached features. See `Training` for the protocol.

    Under `torchrun` every process trains the same head on all features: the work is too small
    to be worth dividing.
    """

    def __init__(
        self, model: StartingModel, dataset: PictureDataset, plan: Plan, context: RunContext
    ) -> None:
        options = plan.options
        self.hardware = context.hardware
        self.processes = context.processes
        self.observers = context.observers
        self.settings = context.settings
        self.stop = context.stop
        self.resources = context.resources
        self.plan = plan
        self.preprocessing = model.preprocessing
        self.weights_fingerprint = model.weights.fingerprint
        self.classifier = self.hardware.placed(model.classifier)
        self.classifier.eval()
        self._said: set[str] = set()
        self.step = 0
        self.learning_rate = plan.learning_rate
        self._rows_per_step = options.batch_size * options.accumulate
        self.steps_per_epoch = -(-len(dataset.train) // self._rows_per_step)
        self.train_features = self._features(dataset.train, "training", options.views)
        self.valid_features = self._features(dataset.splits["valid"], "validation", 1)
        self.bank = HeadBank(
            [self.classifier.head], [_head_options(plan, self.classifier)], self.hardware.device
        )

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
        features = extract_features(
            self.classifier,
            split,
            preprocessing=self.preprocessing,
            settings=self.settings,
            weights_fingerprint=self.weights_fingerprint,
            views=views,
            augmentation=self.plan.options.augmentation,
            seed=self.plan.options.seed,
            precision=self.plan.options.precision,
            workers=self.plan.workers,
            progress=progress,
            message=self._say_once,
        )
        if self.processes.main:
            self.processes.wait()
        self.resources.enter_context(features)
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
        options = self.plan.options
        rows = torch.from_numpy(self.train_features.views[view_of_epoch(epoch, options.views)])
        labels = torch.from_numpy(self.train_features.labels)
        order = epoch_order(
            len(labels),
            seed=options.seed,
            epoch=epoch,
            shuffle=True,
            weights=self.plan.picture_weights,
        )
        self.step = start
        while self.step < self.steps_per_epoch:
            if self.processes.any(should_pause(), self.hardware.device):
                return False
            first = self.step * self._rows_per_step
            chosen = torch.from_numpy(order.indices[first : first + self._rows_per_step])
            with self.observers.phase("data"):
                batch, wanted = rows[chosen], labels[chosen]
            with self.observers.phase("transfer"):
                batch, wanted = batch.to(self.hardware.device), wanted.to(self.hardware.device)
            self._train_step(epoch, batch, wanted, totals)
            self.step += 1
        return True

    def _train_step(
        self, epoch: int, features: torch.Tensor, labels: torch.Tensor, totals: Totals
    ) -> None:
        options = self.plan.options
        done = (epoch - 1) * self.steps_per_epoch + self.step
        factor = learning_rate_factor(options, done, self.steps_per_epoch, options.epochs)
        self.learning_rate = self.plan.learning_rate * factor
        with self.observers.phase("optimizer"):
            result = self.bank.step(features, labels, [self.learning_rate])
        loss = result.losses[0]
        # Every process sees all rows, and the loop adds the processes up.
        share = 1 / self.processes.world_size
        totals.add(loss * len(labels) * share, result.correct[0] * share, len(labels) * share)
        if not bool(torch.isfinite(loss)):
            raise NonFiniteLoss(
                f"the loss became {float(loss)} at step {done + 1} (epoch {epoch}): try a lower "
                f"--lr than {self.plan.learning_rate:g}, or --clip-grad 1"
            )
        if self.observers:
            self.observers.step_ended(
                StepEnded("train", epoch, self.step, loss, len(labels), self.learning_rate)
            )

    def validate(self, epoch: int) -> Totals:
        """Evaluate the head on the validation split's features."""
        totals = Totals(self.hardware.device)
        features = torch.from_numpy(self.valid_features.views[0])
        labels = torch.from_numpy(self.valid_features.labels)
        for start in range(0, len(labels), ROWS_AT_ONCE):
            rows = slice(start, start + ROWS_AT_ONCE)
            wanted = labels[rows].to(self.hardware.device)
            result = self.bank.evaluate(features[rows].to(self.hardware.device), wanted)
            totals.add(result.losses[0] * len(wanted), result.correct[0], len(wanted))
            if self.observers:
                step = start // ROWS_AT_ONCE
                self.observers.step_ended(
                    StepEnded("valid", epoch, step, result.losses[0], len(wanted), 0.0)
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
        return {"bank": self.bank.state_dict()}

    def load_state(self, state: dict[str, Any]) -> None:
        """Put back what `state` gave."""
        self.bank.load_state_dict(state["bank"])

    def weights(self) -> dict[str, torch.Tensor]:
        """A copy, on the CPU, of the head that `validate` judged."""
        return {name: tensor.cpu() for name, tensor in self.bank.export(0).items()}

    def load_weights(self, weights: dict[str, torch.Tensor]) -> None:
        """Put the head of the best epoch into the classifier."""
        self.classifier.head.load_state_dict(weights)


def _head_options(plan: Plan, classifier: Classifier) -> HeadOptions:
    options = plan.options
    return HeadOptions(
        optimizer=options.optimizer,
        weight_decay=options.weight_decay,
        eps=options.eps,
        betas=(options.beta1, options.beta2),
        momentum=options.momentum,
        # A continued model keeps its own where none is given.
        dropout=classifier.architecture.dropout,
        label_smoothing=options.label_smoothing,
        class_weights=plan.loss_weights,
        clip_grad=options.clip_grad,
        ema=options.ema,
        seed=options.seed,
    )
