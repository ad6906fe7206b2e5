"""Unmodified scripts that transform whole folders: the SageMaker SDK, version 2."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.clients.conftest import SCRIPTS, RunScript
from tests.clients.environments import ClientEnvironment
from tests.clients.results import result_of
from tests.conftest import write_pictures


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_photos_and_lines_go_through_transformers(
    run_script: RunScript, notebook: ClientEnvironment, tmp_path: Path
) -> None:
    data = write_pictures(tmp_path / "data", per_class=4)
    # Torch is loaded once, not for each of the jobs.
    output = run_script(notebook, "sdk2_transform.py", SCRIPTS / "colours", data, CLARY_WARM="1")
    found = result_of(output)
    assert found["right"] == 1.0
    assert found["ids"] == [0, 1, 2, 3]
    assert found["numbers"] == [3]
    assert found["given_ids"] == 4
    assert found["captured"] == ["input", "output"]
    assert found["attached"] == [True, "SingleRecord"]
    assert found["tags"] == [{"Key": "team", "Value": "dogs"}]
    status, sentence = found["bad"]
    assert status == "Failed"
    assert "bad/one.jpg" in sentence
    assert "cannot identify image file" in sentence
    assert found["listed"] == ["Completed", "Completed", "Failed"]
    # The job's own log, as the SDK shows it.
    assert "In model_fn. Model directory is - /opt/ml/model" in output
    assert "MaxConcurrentTransforms=2, MaxPayloadInMB=6, BatchStrategy=MULTI_RECORD" in output
