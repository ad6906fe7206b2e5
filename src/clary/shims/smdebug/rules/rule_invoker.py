"""Calls a rule for one step after another."""

from __future__ import annotations

from typing import Any

from ..core.logger import get_logger
from ..exceptions import (
    NoMoreData,
    RuleEvaluationConditionMet,
    StepUnavailable,
    TensorUnavailable,
    TensorUnavailableForStep,
)


def invoke_rule(
    rule_obj: Any,
    start_step: int = 0,
    end_step: int | None = None,
    raise_eval_cond: bool = False,
) -> None:
    """Judge the steps from `start_step` on, waiting for those that the training comes to.

    Steps for which something is missing are passed over.

    Args:
        rule_obj: the rule.
        start_step: the first step, counted over all modes.
        end_step: the step before which it ends; None goes on to the end of the training.
        raise_eval_cond: let the exception through when the rule fires, and end.

    Raises:
        RuleEvaluationConditionMet: the rule has fired, and `raise_eval_cond` is set.
        NoMoreData: the training has ended; AWS's notebooks expect it.
    """
    log = get_logger()
    step = start_step
    fired = 0
    while end_step is None or step < end_step:
        try:
            rule_obj.invoke(step)
        except (StepUnavailable, TensorUnavailable, TensorUnavailableForStep) as missing:
            log.debug("%s passes over step %d: %s", rule_obj.rule_name, step, missing)
        except RuleEvaluationConditionMet as met:
            if raise_eval_cond:
                raise
            fired += 1
            log.debug("%s", met)
            if met.end_of_rule:
                break
        except NoMoreData as end:
            log.info("%s", end)
            raise
        step += 1
    log.info("%s has fired at %d steps", rule_obj.rule_name, fired)
