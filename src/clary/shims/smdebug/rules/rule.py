"""The base class of people's own rules."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from ..analysis.refreshing import no_refresh
from ..core.logger import get_logger
from ..exceptions import RuleEvaluationConditionMet
from .required_tensors import RequiredTensors


class Rule(ABC):
    """Judges a trial step by step; the caller decides which steps, in one thread.

    A subclass takes its parameters in its constructor, as texts where a service starts it.

    Args:
        base_trial: what is judged.
        action_str: what shall be done when the rule fires. Where the rule runs beside a training
            job, the service does that, as the request of the job says.
        other_trials: what it is compared with.
    """

    def __init__(
        self,
        base_trial: Any,
        action_str: str | None = "",
        other_trials: Sequence[Any] | None = None,
    ) -> None:
        self.base_trial = base_trial
        self.other_trials = other_trials
        self.trials = [base_trial, *(other_trials or ())]
        self.action_str = action_str or ""
        self.req_tensors = RequiredTensors(base_trial, other_trials)
        self.logger = get_logger()
        self.rule_name = type(self).__name__
        self.report: dict[str, Any] = {
            "RuleTriggered": 0,
            "Violations": 0,
            "Details": {},
            "Datapoints": 0,
            "RuleParameters": "",
        }

    def set_required_tensors(self, step: int) -> None:  # noqa: B027 - a rule may need none
        """Name what the rule needs at a step, by `self.req_tensors.add`; nothing by default."""

    @abstractmethod
    def invoke_at_step(self, step: int) -> bool:
        """Whether the rule fires at a step of all modes together."""

    def invoke(self, step: int) -> None:
        """Judge one step, once it can be read; nothing new appears meanwhile.

        Raises:
            RuleEvaluationConditionMet: the rule fires.
            TensorUnavailable: a tensor that it requires was never saved.
            TensorUnavailableForStep: one was not saved at this step.
            StepUnavailable: nothing was saved at it.
            NoMoreData: the training has ended before.
        """
        self.base_trial.wait_for_steps([step])
        with no_refresh(self.trials):
            self.req_tensors.clear()
            self.set_required_tensors(step)
            self.req_tensors.fetch()
            fires = self.invoke_at_step(step)
        if fires:
            raise RuleEvaluationConditionMet(self.rule_name, step)
