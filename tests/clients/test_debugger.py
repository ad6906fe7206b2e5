"""SageMaker's debugger as notebooks use it: the unmodified SDK, people's scripts, `smdebug`."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from clary.formats.client_environment import SHIMS
from tests.clients.conftest import SCRIPTS, RunScript
from tests.clients.environments import ClientEnvironment
from tests.clients.results import result_of

RULES = {
    "VanishingGradient",
    "Overfit",
    "Overtraining",
    "PoorWeightInitialization",
    "LossNotDecreasing",
    "LossBelow",
}


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_rules_and_tensors_of_an_estimator(
    run_script: RunScript, notebook: ClientEnvironment
) -> None:
    script = SCRIPTS / "train_watched.py"
    output = run_script(notebook, "sdk2_debug.py", script, json.dumps({"epochs": 3}))
    found = result_of(output)
    assert Path(found["smdebug"]).is_relative_to(SHIMS)
    assert set(found["summary"]) == RULES
    # Rules have reported when fit() returns.
    assert set(found["summary"].values()) <= {"NoIssuesFound", "IssuesFound"}, found["details"]
    assert found["summary"]["VanishingGradient"] == "NoIssuesFound"
    # A rule of one's own, subclassed from the original's.
    assert found["summary"]["LossBelow"] == "IssuesFound"
    assert re.match(
        r"RuleEvaluationConditionMet: Evaluation of the rule LossBelow at step \d+ resulted in the "
        "condition being met",
        found["details"]["LossBelow"],
    ), found["details"]
    assert found["place"].endswith(f"/{found['name']}/debug-output")
    steps, losses = found["train"]
    assert steps == list(range(0, 30, 2))
    assert losses[-1] < losses[0]
    steps, losses = found["eval"]
    assert steps == list(range(12))
    assert all(0 < loss < 5 for loss in losses)
    name, steps, shape = found["gradient"]
    assert (name, steps, shape) == (
        "gradient/Net_conv1.weight",
        list(range(0, 30, 5)),
        [8, 3, 3, 3],
    )
    assert found["relu"][0] == "relu_output_0"
    assert found["relu"][1] > 0
    assert "scalar/average_loss" in found["names"]
    # save_scalar(…, sm_metric=True), by the step over all modes.
    assert found["averages"][0] == [13, 27, 41]
    assert all(0 < loss < 5 for loss in found["averages"][1])
    assert found["processing_job"] in {"Completed", "Stopped"}
