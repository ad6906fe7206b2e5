"""The SageMaker Python SDK, version 2, unmodified."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.clients.conftest import SCRIPTS, RunScript
from tests.clients.environments import ClientEnvironment
from tests.clients.photos import few_of
from tests.clients.results import result_of

BUCKET = "sagemaker-us-east-1-000000000000"


@pytest.mark.slow
def test_fit_attach_and_fetch(
    run_script: RunScript, sagemaker2: ClientEnvironment, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "a.txt").write_text("a")
    hyperparameters = json.dumps({"lr": 0.01, "batch-size": 16, "mode": "quick"})
    script = SCRIPTS / "two_seconds.py"
    output = run_script(sagemaker2, "sdk2_fit.py", script, data, hyperparameters)
    found = result_of(output)
    assert found["role"] == "arn:aws:iam::000000000000:role/ClaryRole"
    assert (found["bucket"], found["inputs"]) == (BUCKET, f"s3://{BUCKET}/data")
    assert found["status"] == "Completed"
    assert found["metrics"] == {"test:loss": 0.25}
    assert found["files"] == ["weights.txt"]
    assert found["model_data"] == f"s3://{BUCKET}/{found['name']}/output/model.tar.gz"
    assert found["hyperparameters"]["lr"] in {"0.01", 0.01}
    assert "lr=0.01 batch_size=16 mode=quick" in output
    assert 'channels: ["training"]' in output
    assert re.search(r"Training seconds: \d+", output)
    # Generous: the machine may be busy. The measured time stands in docs/experiments.md.
    assert found["seconds"] < 30


@pytest.mark.slow
@pytest.mark.real_data
def test_a_script_as_people_write_it_on_real_photos(
    run_script: RunScript,
    sagemaker2: ClientEnvironment,
    dogs: Path,
    weights_dir: Path,
    tmp_path: Path,
) -> None:
    hub = tmp_path / "hub"
    subprocess.run([sys.executable, str(weights_dir / "hub_cache.py"), str(hub)], check=True)
    few = few_of(dogs, tmp_path / "dogs")
    hyperparameters = json.dumps({"lr": 0.003, "batch_size": 16, "steps": 6})
    output = run_script(
        sagemaker2,
        "sdk2_fit.py",
        SCRIPTS / "train_dogs.py",
        few,
        hyperparameters,
        "--analytics",
        TORCH_HOME=str(hub),
    )
    found = result_of(output)
    assert found["status"] == "Completed"
    assert found["files"] == ["model.pth"]
    assert set(found["metrics"]) == {"test:loss"}
    assert found["analytics"] == 1
    assert "step 5 loss" in output
