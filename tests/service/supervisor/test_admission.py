"""Who may start: trials that train in one process take one place."""

from __future__ import annotations

from dataclasses import replace

import pytest

from clary.service.state.training_jobs import TrainingJob, TrialOf
from clary.service.supervisor.admission import Admission, Lack
from tests.service.supervisor.conftest import new_job
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
