"""An observer that lets the debugger's hook see a training of `clary.vision`.

A step of the log is one of the optimizer's steps, or one batch of a validation. Losses bear the
name that SageMaker's debugger gives them; parameters are seen before their update, gradients as
they are when all batches of the step have been added up, not clipped.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from clary.debugger import Hook, Mode
from clary.debugger.naming import parameter_name
from clary.debugger.selection import Selection
from clary.vision.observer import EpochEnded, Learning, Observer, Phase, RunStarted, StepEnded

LOSS = "CrossEntropyLoss"


class TrainingWatcher(Observer):
    """Owns the hook, and closes it when the run is over."""

    def __init__(self, hook: Hook) -> None:
        self._hook = hook
        self.looks_inside = Selection(
            hook.configuration.collections, hook.configuration
        ).looks_inside
        self._root = ""
        self._learns_from_features = False
        self._in_epoch = False
        self._judging = False
        self._begun = False

    def run_started(self, run: RunStarted) -> None:
        """Watch the model; of one that learns from features, `before_update` tells."""
        self._root = type(run.model).__name__
        self._learns_from_features = run.learns_from == "features"
        if not self._learns_from_features:
            self._hook.watch(run.model, counts=False)

    def epoch_started(self, epoch: int) -> None:
        """What is seen from now on belongs to the training."""
        self._in_epoch, self._judging, self._begun = True, False, False

    def phase_started(self, phase: Phase) -> None:
        """Begin a step with its first forward pass."""
        if phase == "evaluation":
            self._judging, self._begun = True, False
        elif phase in {"forward", "optimizer"}:
            self._begin(Mode.EVAL if self._judging else Mode.TRAIN)

    def before_update(self, learning: Callable[[], Sequence[Learning]]) -> None:
        """Let the hook see gradients, and weights that are in no model yet."""
        if not self._hook.captures_parameters:
            return
        if not self._learns_from_features:
            self._hook.capture_gradients()
            return
        for path, value, gradient in learning():
            self._hook.capture_parameter(parameter_name(self._root, path), value, gradient)

    def step_ended(self, step: StepEnded) -> None:
        """Let the hook see the loss, and what the pictures of a validation were taken for."""
        self._begin(Mode.TRAIN if step.mode == "train" else Mode.EVAL)
        self._hook.record_loss(LOSS, step.loss)
        if step.labels is not None and step.predictions is not None:
            self._hook.record("labels", step.labels)
            self._hook.record("predictions", step.predictions)
        self._begun = False

    def epoch_ended(self, epoch: EpochEnded) -> None:
        """What follows the last epoch is no step."""
        self._in_epoch = False

    def run_ended(self, error: BaseException | None) -> None:
        """Write the rest."""
        self._hook.close()

    def _begin(self, mode: Mode) -> None:
        if self._in_epoch and not self._begun:
            self._begun = True
            self._hook.begin_step(mode)
