"""Tuning jobs and their trials come back as they were, and no number is given twice."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.exc import IntegrityError

from clary.service.state.migrations import MIGRATIONS
from clary.service.state.state import State
from clary.service.state.training_jobs import TrainingJob, TrialOf
from clary.service.state.tuning_jobs import Ending, TuningJob
from tests.service.supervisor.conftest import new_job
from tests.service.supervisor.tuning.conftest import new_tuning_job


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[State]:
    state = State(tmp_path_factory.mktemp("state") / "state.sqlite")
    yield state
    state.close()


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
moments = st.integers(0, 2**53)
tuning_jobs = st.builds(
    TuningJob,
    name=st.just("any"),
    arn=texts,
    request=st.dictionaries(texts, texts | st.integers(-(2**31), 2**31) | st.lists(texts)),
    status=st.just("Completed"),
    phase=texts,
    created_ms=moments,
    modified_ms=moments,
    ended_ms=st.none() | moments,
    trials=st.integers(0, 10_000),
    completion=st.none() | st.builds(Ending, texts, texts, moments),
    failure=st.none() | texts,
    parents=st.lists(st.integers(1, 2**53), max_size=5).map(tuple),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(tuning_jobs)
def test_a_tuning_job_comes_back_as_it_was(state: State, job: TuningJob) -> None:
    assert state.create_tuning_job(job, {"key": "value"}) is None
    found = state.tuning_jobs.find("any")
    assert found is not None
    assert replace(found, number=0) == job
    assert state.create_tuning_job(new_tuning_job("any"), {}) == found
    assert not state.forget_tuning_job("any", lambda job: False)
    assert state.forget_tuning_job("any", lambda job: True)
    assert state.tuning_jobs.find("any") is None
    assert state.tags.of(job.arn) == {}


def trial_of(job: TuningJob, number: int, name: str) -> TrainingJob:
    trial = TrialOf(job.name, job.arn, job.number, number, None, {"x": "1"})
    return replace(new_job(name), trial=trial)


def counted(job: TuningJob) -> TuningJob:
    return replace(job, trials=job.trials + 1)


def test_a_trial_and_its_count_are_stored_together_or_not_at_all(state: State) -> None:
    state.create_tuning_job(new_tuning_job("counting"), {})
    job = state.tuning_jobs.find("counting")
    assert job is not None
    assert state.begin_trial("counting", counted, trial_of(job, 1, "one"), {"a": "b"})
    assert not state.begin_trial("counting", lambda job: None, trial_of(job, 2, "two"), {})
    with pytest.raises(IntegrityError):
        state.begin_trial("counting", counted, trial_of(job, 1, "again"), {})
    with pytest.raises(IntegrityError):
        state.begin_trial("counting", counted, trial_of(job, 2, "one"), {})
    after = state.tuning_jobs.find("counting")
    assert after == replace(job, trials=1)
    assert [one.name for one in state.training_jobs.trials_of(job.number)] == ["one"]
    assert state.training_jobs.trials_of(job.number, after=1) == []


def test_a_later_tuning_job_of_the_same_name_has_no_trials_of_the_earlier_one(state: State) -> None:
    for name in ("first", "second"):
        state.create_tuning_job(new_tuning_job("reused"), {})
        job = state.tuning_jobs.find("reused")
        assert job is not None
        assert state.training_jobs.trials_of(job.number) == []
        assert state.begin_trial("reused", counted, trial_of(job, 1, f"reused-{name}"), {})
        assert state.forget_tuning_job("reused", lambda job: True)
        assert state.training_jobs.find(f"reused-{name}") is not None


def test_a_database_of_training_jobs_alone_takes_tuning_jobs_in(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite"
    with sqlite3.connect(path) as connection:
        for statement in MIGRATIONS[0]:
            connection.execute(statement)
        connection.execute("PRAGMA user_version = 1")
        connection.execute(
            "INSERT INTO training_jobs (name, arn, request, updates, status, secondary, "
            "transitions, created_ms, modified_ms, launched, final_metrics, log_offsets) VALUES "
            "('old', 'arn', '{}', '{}', 'Completed', 'Completed', '[]', 1, 1, 1, '{}', '{}')"
        )
    connection.close()
    state = State(path)
    old = state.training_jobs.find("old")
    assert old is not None
    assert old.trial is None
    assert state.tuning_jobs.select() == []
    state.close()
