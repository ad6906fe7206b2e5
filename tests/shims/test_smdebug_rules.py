"""People's own rules, written for the original library."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from clary.formats.tensor_log.entries import Mode
from tests.shims.test_smdebug_trials import LOSS, Made

pytestmark = pytest.mark.usefixtures("smdebug_path")

CUSTOM = """
from smdebug.rules import Rule

class LossIsSmall(Rule):
    def __init__(self, base_trial, threshold=0.25, other_trials=None):
        super().__init__(base_trial, action_str="", other_trials=other_trials)
        self.threshold = float(threshold)
        self.seen = []

    def set_required_tensors(self, step):
        for name in self.base_trial.tensor_names(collection="losses"):
            self.req_tensors.add(name, steps=[step])

    def invoke_at_step(self, step):
        for tensor in self.req_tensors.get():
            self.seen.append((step, self.base_trial.mode(step).name))
            if tensor.value(step) < self.threshold:
                self.logger.info(f"{tensor.name} is small at step {step}")
                return True
        return False
"""


@pytest.fixture
def trial(tmp_path: Path) -> Any:
    from smdebug.trials import create_trial

    made = Made(tmp_path)
    for number in (0, 2, 3, 6):
        mode = Mode.EVAL if number == 3 else Mode.TRAIN
        made.step(number, mode, 0 if number == 3 else number)
    made.writer.close()
    return create_trial(str(tmp_path))


@pytest.fixture
def rule_class() -> Any:
    namespace: dict[str, Any] = {"__name__": "custom"}
    exec(CUSTOM, namespace)
    return namespace["LossIsSmall"]


def test_a_rule_sees_each_step_that_was_saved(trial: Any, rule_class: Any) -> None:
    from smdebug.exceptions import NoMoreData
    from smdebug.rules import invoke_rule

    rule = rule_class(trial, threshold="0.01")
    with pytest.raises(NoMoreData):
        invoke_rule(rule)
    assert rule.seen == [(0, "TRAIN"), (2, "TRAIN"), (3, "EVAL"), (6, "TRAIN")]
    rule = rule_class(trial, threshold="0.01")
    invoke_rule(rule, start_step=1, end_step=4)
    assert rule.seen == [(2, "TRAIN"), (3, "EVAL")]


def test_a_rule_that_asks_past_the_end_of_a_mode_goes_on(trial: Any, rule_class: Any) -> None:
    from smdebug import modes
    from smdebug.exceptions import NoMoreData
    from smdebug.rules import invoke_rule

    class AsksForEvaluation(rule_class):  # type: ignore[misc]
        def invoke_at_step(self, step: int) -> bool:
            if step == 2:
                self.base_trial.tensor(LOSS).value(8, mode=modes.EVAL)
            return bool(super().invoke_at_step(step))

    rule = AsksForEvaluation(trial, threshold="0.01")
    with pytest.raises(NoMoreData):
        invoke_rule(rule)
    assert [step for step, _ in rule.seen] == [0, 3, 6]


def test_a_rule_that_fires(trial: Any, rule_class: Any) -> None:
    from smdebug.exceptions import NoMoreData, RuleEvaluationConditionMet
    from smdebug.rules.rule_invoker import invoke_rule

    rule = rule_class(trial, threshold="0.26")
    with pytest.raises(RuleEvaluationConditionMet) as met:
        invoke_rule(rule, raise_eval_cond=True)
    assert (met.value.rule_name, met.value.step) == ("LossIsSmall", 3)
    assert str(met.value) == (
        "Evaluation of the rule LossIsSmall at step 3 resulted in the condition being met"
    )
    rule = rule_class(trial, threshold="0.26")
    with pytest.raises(NoMoreData):
        invoke_rule(rule)
    assert [step for step, _ in rule.seen] == [0, 2, 3, 6]


def test_required_tensors_that_are_missing(trial: Any, rule_class: Any) -> None:
    from smdebug.exceptions import StepUnavailable, TensorUnavailable

    rule = rule_class(trial, other_trials=[trial])
    assert len(rule.trials) == 2
    with pytest.raises(TensorUnavailable):
        rule.req_tensors.add("nothing", steps=[0])
    with pytest.raises(StepUnavailable):
        rule.invoke(1)
    rule.req_tensors.add("output", steps=[0, 2], should_match_regex=True)
    assert list(rule.req_tensors.get_names()) == [LOSS]
    assert rule.req_tensors.get_tensor_steps(LOSS) == [0, 2]
    with pytest.raises(ValueError, match="no trial of this rule"):
        rule.req_tensors.add(LOSS, steps=[0], trial=object())
