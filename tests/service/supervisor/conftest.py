"""A state, an executor in memory and jobs to move."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from clary.service.state.state import State
from clary.service.state.training_jobs import TrainingJob, Transition
from clary.service.supervisor.rules.evaluations import evaluations_of
from clary.service.supervisor.supervisor import Supervisor
from clary.service.supervisor.timing import Timing
from clary.service.supervisor.transitions import FIRST_MESSAGE, STARTING
from clary.settings import Settings
from tests.service.supervisor.memory_executor import MemoryExecutor
from tests.waiting import PATIENCE_S, until

QUICK = Timing(
    grace_s=0.2,
    settle_s=0.1,
    tick_s=0.01,
    calm_tick_s=0.01,
    follow_s=0.02,
    sample_s=60,
    last_read_s=10,
    unseen_s=0.5,
    retry_s=0.1,
    rules_s=0.02,
    rule_grace_s=20,
    rule_settle_s=0.5,
)

Supervise = Callable[..., Supervisor]


def new_job(name: str, **request: Any) -> TrainingJob:
    """A job as CreateTrainingJob stores it."""
    now_ms = int(time.time() * 1000)
    return TrainingJob(
        name=name,
        arn=f"arn:aws:sagemaker:us-east-1:000000000000:training-job/{name}",
        request={
            "TrainingJobName": name,
            "AlgorithmSpecification": {"TrainingInputMode": "File"},
            "OutputDataConfig": {"S3OutputPath": "s3://bucket/"},
            "ResourceConfig": {"InstanceType": "ml.m5.xlarge", "InstanceCount": 1},
            "StoppingCondition": {"MaxRuntimeInSeconds": 3600},
            **request,
        },
        status=STARTING[0],
        secondary=STARTING[1],
        transitions=(Transition(STARTING[1], FIRST_MESSAGE, now_ms),),
        created_ms=now_ms,
        modified_ms=now_ms,
    )


def reach(supervisor: Supervisor, name: str, *states: str) -> TrainingJob:
    """Wait until the job's status or secondary status is one of `states`."""
    job = supervisor.wait_until(
        name, lambda job: job.secondary in states or job.status in states, PATIENCE_S
    )
    assert job is not None
    assert job.secondary in states or job.status in states, job
    return job


def submit(supervisor: Supervisor, state: State, job: TrainingJob) -> None:
    assert state.create_training_job(job, {}, evaluations_of(job)) is None
    supervisor.submit(job.name)


def eventually(state: State, name: str, satisfied: Callable[[TrainingJob], bool]) -> TrainingJob:
    """Wait for what is stored without a change of the job's state, such as metrics."""

    def found() -> TrainingJob | None:
        job = state.training_jobs.find(name)
        return job if job is not None and satisfied(job) else None

    return until(found, lambda: state.training_jobs.find(name))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home", max_jobs=2)


@pytest.fixture
def state(settings: Settings) -> Iterator[State]:
    state = State(settings.state_file)
    yield state
    state.close()


@pytest.fixture
def executor() -> MemoryExecutor:
    return MemoryExecutor()


@pytest.fixture
def supervise(state: State, settings: Settings, executor: MemoryExecutor) -> Iterator[Supervise]:
    """A function that starts a supervisor on the state."""
    started = []

    def start(timing: Timing = QUICK) -> Supervisor:
        supervisor = Supervisor(state, executor, settings, dict, timing)
        supervisor.start()
        started.append(supervisor)
        return supervisor

    yield start
    for supervisor in started:
        supervisor.close()
