"""Unmodified scripts that deploy: the SageMaker SDK, version 2, with boto3 beside it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.clients.conftest import SCRIPTS, RunScript
from tests.clients.environments import ClientEnvironment
from tests.clients.results import result_of
from tests.conftest import write_pictures


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_notebook_deploys_asks_and_deletes(
    run_script: RunScript, notebook: ClientEnvironment, tmp_path: Path
) -> None:
    data = write_pictures(tmp_path / "data", per_class=4)
    # Torch is loaded once, not for each of the endpoints.
    output = run_script(notebook, "sdk2_deploy.py", SCRIPTS / "colours", data, CLARY_WARM="1")
    found = result_of(output)
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
