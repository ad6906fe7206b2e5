"""A service that is killed in the middle of a tuning job: the next one goes on where it was."""

from __future__ import annotations

import json
import random
import time
from pathlib import Path

import pytest

from clary.tuner.ranges import ContinuousRange, Space
from clary.tuner.search import Search, suggest
from tests.service.conftest import RunningService
from tests.service.tuning.conftest import HEAD, Tuning, configuration, definition

# Appends to a file outside the job: how often a trial really began.
MARKING = (
    HEAD
    + """
mark = others[others.index("--mark") + 1]
with open(mark, "a") as file:
    file.write(os.environ["TRAINING_JOB_NAME"] + "\\n")
time.sleep(0.4)
print(f"objective={arguments.x}", flush=True)
"""
)


@pytest.mark.timeout(900)
def test_a_tuning_job_survives_kills(own_service: RunningService, tmp_path: Path) -> None:
    tuning = Tuning(own_service)
    tuning.put("marking", MARKING)
    mark = tmp_path / "marks"
    training = definition("marking", static={"mark": json.dumps(str(mark))})
    tuning.create("survivor", configuration(6), training)
    chance = random.Random(20261121)
    for _ in range(3):
        time.sleep(chance.uniform(0.2, 1.2))
        own_service.kill()
        own_service.restart()
        tuning.connect()
    job = tuning.wait("survivor")
    assert job["HyperParameterTuningJobStatus"] == "Completed", job.get("FailureReason")
    trials = tuning.trials("survivor")
    assert [trial["TrainingJobName"].split("-")[1] for trial in trials] == [
        f"{number:03d}" for number in range(1, 7)
    ]
    assert {trial["ObjectiveStatus"] for trial in trials} == {"Succeeded"}
    begun = mark.read_text().split()
    assert sorted(begun) == sorted(trial["TrainingJobName"] for trial in trials)
    # The seed alone decides what a random search tries, whoever is killed.
    search = Search(Space((ContinuousRange("x", 0, 10),)), "Random", "Minimize", seed=1)
    expected = [search.space.to_text(suggest(search, [], number)) for number in range(1, 7)]
    assert [trial["TunedHyperParameters"] for trial in trials] == expected
