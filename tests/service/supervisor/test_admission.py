"""Who may start: trials that train in one process take one place."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from clary.service.state.state import State
from clary.service.state.training_jobs import TrainingJob, TrialOf
from clary.service.supervisor.admission import Admission, Lack
from tests.service.supervisor.conftest import QUICK, Supervise, new_job, reach, submit
from tests.service.supervisor.memory_executor import MemoryExecutor
from tests.service.supervisor.tuning.conftest import ARN

BUILT_IN = {"TrainingImage": "clary/image-classification", "TrainingInputMode": "File"}


def trial(number: int, tuning_number: int = 1, **hyperparameters: str) -> TrainingJob:
    job = new_job(
        f"trial-{tuning_number}-{number}",
        AlgorithmSpecification=BUILT_IN,
        HyperParameters={"trainable_layers": "0", "lr": f"0.0{number}", **hyperparameters},
    )
    of = TrialOf("any", ARN + "any", tuning_number, number, None, {"lr": f"0.0{number}"})
    return replace(job, trial=of, number=10 * tuning_number + number)


def person_s(number: int) -> TrainingJob:
    return replace(new_job(f"own-{number}"), number=1000 + number)


def test_heads_on_one_backbone_take_one_place() -> None:
    admission = Admission(max_jobs=2)
    running = [trial(1), trial(2), trial(3)]
    assert not admission.is_full(running)
    assert admission.obstacle(trial(4), running, {}) is None
    assert admission.obstacle(person_s(1), running, {}) is None
    full = [*running, person_s(1)]
    assert admission.is_full(full)
    assert admission.obstacle(trial(4), full, {}) is None
    obstacle = admission.obstacle(person_s(2), full, {})
    assert obstacle is not None
    assert obstacle.lack is Lack.ROOM
    assert "2 training jobs run" in obstacle.sentence


@pytest.mark.parametrize(
    "other",
    [
        trial(5, model="resnet50"),
        trial(5, trainable_layers="all"),
        trial(5, tuning_number=2),
        replace(trial(5), trial=None),
    ],
    ids=["another backbone", "a whole network", "another tuning job", "no trial"],
)
def test_what_cannot_share_a_process_takes_a_place_of_its_own(other: TrainingJob) -> None:
    admission = Admission(max_jobs=1)
    assert admission.obstacle(other, [trial(1)], {}) is not None
    admission.keep({11})
    assert admission.obstacle(trial(2), [trial(1)], {}) is None


@pytest.mark.parametrize("lack", [Lack.ROOM, Lack.MEMORY, Lack.MACHINE])
def test_a_trial_joins_no_process_that_holds_what_an_older_job_waits_for(lack: Lack) -> None:
    admission = Admission(max_jobs=2)
    running = [trial(1), person_s(1)]
    obstacle = admission.obstacle(trial(2), running, {lack: "own-2"})
    assert obstacle is not None
    assert obstacle == (lack, f"Waiting for {lack.value}: own-2 has waited longer, it is next")
    # What takes no GPU holds none.
    assert admission.obstacle(trial(2), running, {Lack.GPU: "own-2"}) is None


def test_trials_that_train_together_do_not_keep_an_older_job_out(
    supervise: Supervise, state: State, executor: MemoryExecutor
) -> None:
    supervisor = supervise(replace(QUICK, turn_s=0.5))

    def begin(job: TrainingJob) -> None:
        submit(supervisor, state, replace(job, number=0))

    for job in (person_s(1), trial(1)):
        begin(job)
        reach(supervisor, job.name, "Training")
    begin(person_s(2))
    reach(supervisor, "own-2", "Pending")
    time.sleep(0.6)
    begin(trial(2))
    held = reach(supervisor, "trial-1-2", "Pending", "Training")
    assert held.message == "Waiting for room: own-2 has waited longer, it is next"
    executor.end("trial-1-1")
    reach(supervisor, "own-2", "Training")
    executor.end("own-1")
    reach(supervisor, "trial-1-2", "Training")
