"""Trials in short: pages, and curves whose values are stored once."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clary.service.state.state import State
from clary.service.state.training_jobs import FinalMetric, TrainingJob, TrialOf
from clary.service.state.trials import Emission, TrialOrder, TrialSummary, place
from tests.service.supervisor.conftest import new_job

TUNING = 7


def trial_job(number: int, name: str, tuning: int = TUNING, **changes: object) -> TrainingJob:
    trial = TrialOf("tuning", "arn:tuning", tuning, number, None, {"x": str(number)})
    return replace(new_job(name), trial=trial, **changes)  # type: ignore[arg-type]


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    state = State(tmp_path / "state.sqlite")
    yield state
    state.close()


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[State]:
    """Nine trials in three creation times and two states, and others beside them."""
    state = State(tmp_path_factory.mktemp("trials") / "state.sqlite")
    for number, name in enumerate("hdiagcbfe", 1):
        status = "Completed" if number % 2 else "InProgress"
        job = trial_job(number, name, created_ms=number % 3, status=status)
        state.create_training_job(job, {})
    state.create_training_job(trial_job(1, "x", tuning=8), {})
    state.create_training_job(new_job("y"), {})
    yield state
    state.close()


def names(trials: list[TrialSummary]) -> str:
    return "".join(one.name for one in trials)


def test_a_summary_tells_what_the_job_says(state: State) -> None:
    job = trial_job(
        3,
        "told",
        ended_ms=4,
        failure="AlgorithmError: no",
        final_metrics={"loss": FinalMetric(0.5, 6, diverged=True)},
    )
    state.create_training_job(job, {})
    (summary,) = state.trials.of(TUNING)
    for name in ("name", "arn", "status", "secondary", "created_ms", "started_ms", "ended_ms"):
        assert getattr(summary, name) == getattr(job, name)
    assert (summary.failure, summary.trial) == (job.failure, job.trial)
    assert summary.final_metrics == job.final_metrics
    assert summary.active


def test_trials_come_by_number_those_after_one_and_some_before(filled: State) -> None:
    assert names(filled.trials.of(TUNING)) == "hdiagcbfe"
    assert names(filled.trials.of(TUNING, 7)) == "fe"
    assert names(filled.trials.of(TUNING, 7, among=[2, 4])) == "dafe"
    assert names(filled.trials.of(9)) == ""


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(["Name", "CreationTime"]),
    st.sampled_from([None, "Completed", "InProgress"]),
    st.booleans(),
    st.integers(1, 10),
)
def test_pages_hold_each_trial_once_in_order(
    filled: State, order: TrialOrder, status: str | None, descending: bool, size: int
) -> None:
    wanted = [one for one in filled.trials.of(TUNING) if status in (None, one.status)]
    wanted.sort(key=lambda one: place(one, order), reverse=descending)
    found: list[TrialSummary] = []
    while chosen := filled.trials.page(
        TUNING,
        order,
        size,
        place(found[-1], order) if found else None,
        status=status,
        descending=descending,
    ):
        assert len(chosen) <= size
        found += chosen
    assert found == wanted


def record(state: State, name: str, *said: tuple[str, float]) -> None:
    state.record_logs(name, lambda job: job, [], [], [Emission(*one) for one in said])


def test_a_curve_is_that_of_the_first_host_to_say_anything(state: State) -> None:
    for number, name in enumerate(["one", "two"], 1):
        state.create_training_job(trial_job(number, name), {})
    record(state, "one", ("algo-2", 0.5), ("algo-1", 0.6), ("algo-2", 0.4))
    record(state, "two", ("algo-1", math.nan))
    first = state.trials.values(TUNING)
    assert [(one.trial, one.value) for one in first[:2]] == [(1, 0.5), (1, 0.4)]
    assert first[2].trial == 2
    assert math.isnan(first[2].value)
    record(state, "one", ("algo-1", 0.3), ("algo-2", math.inf), ("algo-2", 0.2))
    later = state.trials.values(TUNING, first[-1].id)
    assert [one.trial for one in later] == [1, 1]
    assert math.isnan(later[0].value)
    assert later[1].value == 0.2
    assert state.trials.values(8) == []


def test_a_curve_goes_with_its_training_job_and_its_ids_do_not_come_back(state: State) -> None:
    state.create_training_job(trial_job(1, "old"), {})
    record(state, "old", ("algo-1", 0.5))
    (before,) = state.trials.values(TUNING)
    old = state.training_jobs.find("old")
    assert old is not None
    state.forget_training_job(old, "group", ["algo-1"], "rules")
    assert state.trials.values(TUNING) == []
    state.create_training_job(trial_job(2, "new"), {})
    record(state, "new", ("algo-1", 0.5))
    (after,) = state.trials.values(TUNING, before.id)
    assert after.trial == 2
