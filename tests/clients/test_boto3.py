"""Plain boto3, from the first bucket to the metrics of a job."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.clients.conftest import SCRIPTS, RunScript
from tests.clients.environments import ClientEnvironment
from tests.clients.results import result_of


def test_the_whole_trip(run_script: RunScript) -> None:
    own = ClientEnvironment(Path(sys.prefix))
    found = result_of(run_script(own, "boto3_trip.py", SCRIPTS / "two_seconds.py"))
    assert found["status"] == "Completed"
    assert found["metrics"] == {"loss": 0.25}
    assert found["minimum"] == 0.25
    assert found["weights"] == "learned"
    assert "lr=0.5 batch_size=None mode=quoted" in found["lines"]
    assert sum(line.startswith("Test set:") for line in found["lines"]) == 4
