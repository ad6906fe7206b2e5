"""Unmodified scripts that deploy: the SageMaker SDK, version 2, with boto3 beside it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.clients.conftest import SCRIPTS, RunScript
from tests.clients.environments import ClientEnvironment
from tests.clients.photos import few_of
from tests.clients.results import result_of
from tests.conftest import write_pictures


@pytest.mark.slow
def test_a_notebook_deploys_asks_and_deletes(
    run_script: RunScript, sagemaker2: ClientEnvironment, tmp_path: Path
) -> None:
    data = write_pictures(tmp_path / "data", per_class=4)
    found = result_of(run_script(sagemaker2, "sdk2_deploy.py", SCRIPTS / "colours", data))
    assert found["array"] == ["float64", [3, 3]]
    assert found["numbers"] == [3]
    assert found["right"] == 1.0
    assert found["json_alike"]
    assert (found["sagemaker-runtime"], found["runtime.sagemaker"]) == (True, True)
    assert found["variant"] == "AllTraffic"
    assert (found["bad"]["code"], found["bad"]["http"]) == ("ModelError", 424)
    assert found["bad"]["status"] == 500
    assert "cannot identify image file" in found["bad"]["message"]
    assert found["logged"]
    assert found["listed"]
    assert found["broken"] == ["InService", "ModelError"]
    assert found["async"]
    assert found["left"] == []


@pytest.mark.slow
@pytest.mark.real_data
def test_real_photos_are_answered_with_the_right_breed_first(
    run_script: RunScript,
    sagemaker2: ClientEnvironment,
    dogs: Path,
    weights_dir: Path,
    tmp_path: Path,
) -> None:
    hub = tmp_path / "hub"
    subprocess.run([sys.executable, str(weights_dir / "hub_cache.py"), str(hub)], check=True)
    output = run_script(
        sagemaker2,
        "sdk2_deploy_dogs.py",
        SCRIPTS / "dogs",
        few_of(dogs, tmp_path / "dogs"),
        TORCH_HOME=str(hub),
    )
    found = result_of(output)
    assert found["numbers"] == [20]
    assert found["asked"] == 40
    # By chance two of forty would be right.
    assert found["right"] >= 20
