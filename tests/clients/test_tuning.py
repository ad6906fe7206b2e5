"""Unmodified scripts that tune: the SageMaker SDKs, versions 2 and 3, and plain boto3."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from tests.clients.conftest import SCRIPTS, RunScript
from tests.clients.environments import ClientEnvironment
from tests.clients.results import result_of

CHILD = r"-00[1-4]-[0-9a-f]{8}"


@pytest.fixture
def text_data(tmp_path: Path) -> Path:
    """A channel's content."""
    data = tmp_path / "data"
    data.mkdir()
    (data / "a.txt").write_text("a")
    return data


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_notebook_tunes_with_sdk_2(
    run_script: RunScript, notebook: ClientEnvironment, text_data: Path
) -> None:
    script = SCRIPTS / "tuned_script.py"
    output = run_script(notebook, "sdk2_tune.py", script, text_data, '{"epochs": 3}')
    found = result_of(output)
    assert found["status"] == "Completed"
    assert found["objectives"] == {"Succeeded": 4, "Pending": 0, "Failed": 0}
    assert found["counters"]["Completed"] + found["counters"]["Stopped"] == 4
    assert all(re.fullmatch(re.escape(found["name"]) + CHILD, name) for name in found["losses"])
    assert len(found["losses"]) == 4
    assert found["best"] == min(found["losses"], key=found["losses"].get)
    assert found["attached_best"] == found["best"]
    assert set(found["attached_ranges"]) == {"lr", "batch_size"}
    assert {"lr", "batch_size", "TrainingStartTime", "TrainingEndTime"} <= set(found["columns"])
    assert all(0.001 <= rate <= 0.1 for rate in found["rates"])
    assert found["model_data"].endswith(f"{found['best']}/output/model.tar.gz")
    best = found["hyperparameters"]
    assert re.fullmatch(r'"(16|32|64)"', best["batch_size"])
    assert best["_tuning_objective_metric"] == '"average test loss"'
    assert {"sagemaker_program", "sagemaker_estimator_class_name"} <= set(best)
    assert (found["again"], found["whole"]) == ("Completed", "Completed")
    assert found["ranges"]["lr"]["MinValue"] == "0.001"


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_model_trainer_is_tuned_with_sdk_3(
    run_script: RunScript, sagemaker3: ClientEnvironment, text_data: Path
) -> None:
    script = SCRIPTS / "tuned_script.py"
    found = result_of(run_script(sagemaker3, "sdk3_tune.py", script, text_data, '{"epochs": 3}'))
    assert found["status"] == "Completed"
    assert found["objectives"] == {"succeeded": 4, "pending": 0, "failed": 0}
    assert len(found["losses"]) == 4
    assert found["best"] == min(found["losses"], key=found["losses"].get)
    assert 0.001 <= float(found["tuned"]["lr"]) <= 0.1


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_plain_boto3_searches_and_stops_early(run_script: RunScript) -> None:
    own = ClientEnvironment(Path(sys.prefix))
    found = result_of(run_script(own, "boto3_tune.py", SCRIPTS / "tuned_script.py"))
    search, early = found["search"], found["early"]

    assert search["status"] == "Completed"
    assert search["objectives"] == {"Succeeded": 4, "Pending": 0, "Failed": 0}
    losses = [child["loss"] for child in search["children"]]
    assert losses == sorted(losses)
    assert len(losses) == 4
    assert search["best"] == search["children"][0]["name"]
    assert found["hyperparameters"]["_tuning_objective_metric"] == '"loss"'
    assert found["hyperparameters"]["lr"] == search["children"][0]["tuned"]["lr"]
    assert found["tuning_job"]
    assert found["tags"] == [{"Key": "team", "Value": "dogs"}]
    assert found["listed"] == ["search"]

    assert early["status"] == "Completed"
    assert early["objectives"] == {"Succeeded": 6, "Pending": 0, "Failed": 0}
    assert early["counters"]["Completed"] == 5
    assert early["counters"]["Stopped"] == 1
    last = early["children"][-1]
    assert (last["status"], last["tuned"]["lr"]) == ("Stopped", "100")
    assert last["objective"] == "Succeeded"
    assert found["epochs"] < 40
