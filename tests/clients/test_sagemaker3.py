"""The SageMaker Python SDK, version 3, unmodified: ModelTrainer with its own drivers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.clients.conftest import SCRIPTS, RunScript
from tests.clients.environments import ClientEnvironment
from tests.clients.results import result_of


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_model_trainer(
    run_script: RunScript, sagemaker3: ClientEnvironment, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "a.txt").write_text("a")
    hyperparameters = json.dumps({"lr": 0.01, "batch-size": 16})
    output = run_script(
        sagemaker3, "sdk3_fit.py", SCRIPTS / "two_seconds.py", data, hyperparameters
    )
    found = result_of(output)
    assert found["status"] == "Completed"
    assert found["model_data"].endswith(f"{found['name']}/output/model.tar.gz")
    assert "lr=0.01 batch_size=16 mode=" in found["lines"]
