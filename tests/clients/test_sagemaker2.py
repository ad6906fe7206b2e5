"""The SageMaker Python SDK, version 2, unmodified."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.clients.conftest import SCRIPTS, RunScript
from tests.clients.environments import ClientEnvironment
from tests.clients.results import result_of

BUCKET = "sagemaker-us-east-1-000000000000"


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_fit_attach_and_fetch(
    run_script: RunScript, notebook: ClientEnvironment, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "a.txt").write_text("a")
    hyperparameters = json.dumps({"lr": 0.01, "batch-size": 16, "mode": "quick"})
    script = SCRIPTS / "two_seconds.py"
    output = run_script(notebook, "sdk2_fit.py", script, data, hyperparameters, "--analytics")
    found = result_of(output)
    assert found["role"] == "arn:aws:iam::000000000000:role/ClaryRole"
    assert (found["bucket"], found["inputs"]) == (BUCKET, f"s3://{BUCKET}/data")
    assert found["status"] == "Completed"
    assert found["metrics"] == {"test:loss": 0.25}
    assert found["analytics"] in {1, 2}  # rows of a minute each
    assert found["files"] == ["weights.txt"]
    assert found["model_data"] == f"s3://{BUCKET}/{found['name']}/output/model.tar.gz"
    assert found["hyperparameters"]["lr"] in {"0.01", 0.01}
    assert "lr=0.01 batch_size=16 mode=quick" in output
    assert 'channels: ["training"]' in output
    assert re.search(r"Training seconds: \d+", output)
