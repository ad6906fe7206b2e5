"""One tensor of a trial: its steps, values, reductions and shapes."""

from __future__ import annotations

from enum import Enum
from typing import Any, Protocol

import numpy as np

from clary import errors
from clary.debugger.history import History

from ..exceptions import (
    InvalidWorker,
    ShapeUnavailableForStep,
    SMDebugValueError,
    StepNotYetAvailable,
    StepUnavailable,
    TensorUnavailableForStep,
)
from .modes import ModeKeys
from .reduction_config import ALLOWED_NORMS, ALLOWED_REDUCTIONS
from .reductions import as_torch_reduces, get_numpy_reduction
from .seen_steps import SeenSteps

SCALAR_PREFIX = "scalar/"


class StepState(Enum):
    """Whether a step can be read."""

    UNAVAILABLE = 0
    AVAILABLE = 1
    NOT_YET_AVAILABLE = 2


class OwnTrial(Protocol):
    """What a tensor needs of its trial."""

    history: History
    seen: SeenSteps

    def maybe_refresh(self, name: str | None = None) -> None:
        """Look for new data."""

    def has_passed_step(self, step: int, mode: ModeKeys = ...) -> StepState:
        """Whether a step can be read."""


class Tensor:
    """What was saved under one name; belongs to its trial, and to its trial's thread.

    Steps are numbers within a mode; GLOBAL counts all modes. `worker` is one of several
    processes, such as `worker_0`; None takes the first that has saved the step.
    """

    def __init__(self, name: str, trial: OwnTrial) -> None:
        self.name = name
        self.trial = trial

    def steps(
        self, mode: ModeKeys = ModeKeys.GLOBAL, show_incomplete_steps: bool = False
    ) -> list[int]:
        """The steps at which anything of the tensor was saved, in order.

        Args:
            mode: whose steps.
            show_incomplete_steps: also those that some workers have not saved yet.
        """
        self.trial.maybe_refresh(self.name)
        return list(self.trial.seen.steps(mode, self.name, incomplete=show_incomplete_steps))

    def prev_steps(
        self, step: int, n: int | None = None, mode: ModeKeys = ModeKeys.GLOBAL
    ) -> list[int]:
        """The last `n` steps up to `step`, itself included; None all of them."""
        until = [one for one in self.steps(mode) if one <= step]
        return until[-n:] if n else until

    def value(
        self, step_num: int, mode: ModeKeys = ModeKeys.GLOBAL, worker: str | None = None
    ) -> Any:
        """The whole tensor at a step, as a numpy array of the caller's own.

        Raises:
            TensorUnavailableForStep: it was not saved then, or only reductions of it.
            StepUnavailable: nothing was saved at the step, nor will be.
            StepNotYetAvailable: the training has not come so far.
            InvalidWorker: that worker has not saved it.
        """
        worker = self._worker(step_num, mode, worker)
        scalar = self._scalar(step_num, mode, worker)
        if scalar is not None:
            return _as_saved(self.name, scalar)
        try:
            held = self.trial.history.value(self.name, step_num, mode, worker)
        except errors.StatisticsOnly:
            raise TensorUnavailableForStep(self.name, step_num, mode, has_reductions=True) from None
        except errors.TensorUnavailable:
            raise TensorUnavailableForStep(self.name, step_num, mode) from None
        return _as_saved(self.name, held)

    def values(self, mode: ModeKeys = ModeKeys.GLOBAL, worker: str | None = None) -> dict[int, Any]:
        """The whole tensor by step.

        Raises:
            TensorUnavailableForStep: at some step only reductions of it were saved.
        """
        return {step: self.value(step, mode, worker) for step in self.steps(mode)}

    def reduction_value(
        self,
        step_num: int,
        reduction_name: str,
        mode: ModeKeys = ModeKeys.GLOBAL,
        worker: str | None = None,
        abs: bool = False,  # noqa: A002
    ) -> Any:
        """A reduction at a step: as it was saved, or computed of the whole tensor.

        Args:
            step_num: the step.
            reduction_name: `min max mean std variance sum prod l1 l2`.
            mode: whose step it is.
            worker: whose tensor.
            abs: of the absolute values.

        Raises:
            SMDebugValueError: there is no such reduction.
            TensorUnavailableForStep: neither was saved.
            StepUnavailable: nothing was saved at the step, nor will be.
            StepNotYetAvailable: the training has not come so far.
            InvalidWorker: that worker has not saved it.
        """
        if reduction_name not in (*ALLOWED_REDUCTIONS, *ALLOWED_NORMS):
            offered = ", ".join((*ALLOWED_REDUCTIONS, *ALLOWED_NORMS))
            raise SMDebugValueError(f"{reduction_name!r} is no reduction: choose among {offered}")
        worker = self._worker(step_num, mode, worker)
        history = self.trial.history
        try:
            whole = history.value(self.name, step_num, mode, worker)
            return np.float32(get_numpy_reduction(reduction_name, whole, abs))
        except errors.StatisticsOnly:
            pass
        except errors.TensorUnavailable:
            raise TensorUnavailableForStep(self.name, step_num, mode) from None
        try:
            kept = history.reduction(
                self.name, step_num, reduction_name, mode, worker, absolute=abs
            )
        except errors.TensorUnavailable:
            raise TensorUnavailableForStep(self.name, step_num, mode) from None
        if history.reductions_as_saved:
            return np.float32(kept)
        number = history.step_of(mode, step_num)
        known = history.statistics(self.name, mode, worker, after=number - 1, until=number)
        statistics = known[step_num]
        return np.float32(as_torch_reduces(kept, reduction_name, statistics, absolute=abs))

    def reduction_values(
        self, step_num: int, mode: ModeKeys = ModeKeys.GLOBAL, worker: str | None = None
    ) -> dict[tuple[str, bool], Any]:
        """All reductions that can be had at a step, by name and whether of absolute values.

        Raises:
            StepUnavailable: nothing was saved at the step, nor will be.
            StepNotYetAvailable: the training has not come so far.
            InvalidWorker: that worker has not saved it.
        """
        found = {}
        for name in (*ALLOWED_REDUCTIONS, *ALLOWED_NORMS):
            for absolute in (False, True):
                try:
                    value = self.reduction_value(step_num, name, mode, worker, absolute)
                except TensorUnavailableForStep:
                    continue
                found[name, absolute] = value
        return found

    def shape(
        self, step_num: int, mode: ModeKeys = ModeKeys.GLOBAL, worker: str | None = None
    ) -> tuple[int, ...]:
        """The shape at a step.

        Raises:
            ShapeUnavailableForStep: nothing tells it.
            TensorUnavailableForStep: the tensor was not saved then.
            StepUnavailable: nothing was saved at the step, nor will be.
            StepNotYetAvailable: the training has not come so far.
            InvalidWorker: that worker has not saved it.
        """
        worker = self._worker(step_num, mode, worker)
        try:
            return self.trial.history.shape(self.name, step_num, mode, worker)
        except errors.TensorUnavailable:
            raise ShapeUnavailableForStep(self.name, step_num, mode) from None

    def shapes(
        self, mode: ModeKeys = ModeKeys.GLOBAL, worker: str | None = None
    ) -> dict[int, tuple[int, ...]]:
        """The shapes by step."""
        return {step: self.shape(step, mode, worker) for step in self.steps(mode)}

    def workers(self, step_num: int, mode: ModeKeys = ModeKeys.GLOBAL) -> list[str]:
        """The workers that have saved the tensor at a step.

        Raises:
            TensorUnavailableForStep: none has.
        """
        found = self._workers(step_num, mode)
        if not found:
            raise TensorUnavailableForStep(self.name, step_num, mode)
        return found

    def _scalar(self, step: int, mode: ModeKeys, worker: str) -> float | None:
        number = self.trial.seen.number_of(mode, step)
        # The original keeps numbers as tensors, of whatever type and shape.
        if number is None or self.trial.history.reductions_as_saved:
            return None
        return self.trial.seen.scalar(self.name, number, worker)

    def _workers(self, step: int, mode: ModeKeys) -> list[str]:
        number = self.trial.seen.number_of(mode, step)
        return [] if number is None else self.trial.seen.workers_at(self.name, number)

    def _worker(self, step: int, mode: ModeKeys, wanted: str | None) -> str:
        """Whose tensor is read; the sentence why there is none, otherwise."""
        found = self._workers(step, mode)
        if not found:
            self.trial.maybe_refresh(self.name)
            found = self._workers(step, mode)
        if not found:
            state = self.trial.has_passed_step(step, mode)
            if state is StepState.AVAILABLE:
                raise TensorUnavailableForStep(self.name, step, mode)
            if state is StepState.NOT_YET_AVAILABLE:
                raise StepNotYetAvailable(step, mode)
            raise StepUnavailable(step, mode)
        if wanted is not None and wanted not in found:
            raise InvalidWorker(wanted)
        return wanted or found[0]

    def __repr__(self) -> str:
        return f"Tensor({self.name!r})"


class Number(np.ndarray[Any, Any]):
    """What a script has recorded: an array of one number, as AWS gives it, and a number too."""

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __format__(self, spec: str) -> str:
        return format(self.item(), spec) if spec else str(self)


def _as_saved(name: str, value: Any) -> Any:
    """In AWS's types: numbers that a script records have a dimension, losses are float32."""
    held = np.array(value)
    if name.startswith(SCALAR_PREFIX) and held.size == 1:
        return held.reshape(1).view(Number)
    return held if held.ndim or held.dtype != np.float64 else held.astype(np.float32)
