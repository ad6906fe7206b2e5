"""What is stored comes back, in any form that users give it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clary.service.state.log_streams import LogStream
from clary.service.state.metric_data import Datum, Metric
from clary.service.state.state import State
from clary.service.state.training_jobs import FinalMetric, TrainingJob, Transition, TrialOf
from tests.service.supervisor.conftest import new_job


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[State]:
    state = State(tmp_path_factory.mktemp("state") / "state.sqlite")
    yield state
    state.close()


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
moments = st.none() | st.integers(0, 2**53)
jobs = st.builds(
    TrainingJob,
    name=st.just("any"),
    arn=texts,
    request=st.dictionaries(texts, texts | st.integers(-(2**31), 2**31) | st.lists(texts)),
    status=st.just("Completed"),
    secondary=texts,
    transitions=st.lists(
        st.builds(Transition, texts, texts, st.integers(0, 2**53), moments), max_size=4
    ).map(tuple),
    created_ms=st.integers(0, 2**53),
    modified_ms=st.integers(0, 2**53),
    started_ms=moments,
    running_ms=moments,
    ended_ms=moments,
    stop_asked_ms=moments,
    stop_cause=st.none() | texts,
    launched=st.booleans(),
    failure=st.none() | texts,
    model_artifacts=st.none() | texts,
    output_artifacts=st.none() | texts,
    updates=st.dictionaries(texts, texts),
    final_metrics=st.dictionaries(
        texts, st.builds(FinalMetric, st.floats(allow_nan=False), st.integers(0, 2**53))
    ),
    log_offsets=st.dictionaries(texts, st.integers(0, 2**53)),
    trial=st.none()
    | st.builds(
        TrialOf,
        tuning_job=texts,
        tuning_arn=texts,
        tuning_number=st.integers(1, 2**53),
        number=st.integers(1, 2**53),
        definition=st.none() | texts,
        tuned=st.dictionaries(texts, texts),
    ),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(jobs)
def test_a_job_comes_back_as_it_was(state: State, job: TrainingJob) -> None:
    assert state.create_training_job(job, {}) is None
    found = state.training_jobs.find("any")
    assert found is not None
    assert replace(found, number=0) == job
    assert state.create_training_job(new_job("any"), {"not": "stored"}) == found
    assert state.tags.of(new_job("any").arn) == {}
    state.forget_training_job(found, "group", ["algo-1"], "rules")
    assert state.training_jobs.find("any") is None


def test_forgetting_a_job_takes_its_own_and_nothing_else(state: State) -> None:
    for name in ("job", "job-2"):
        job = new_job(name)
        state.create_training_job(job, {"key": name})
        by_job = Metric("ns", "loss", {"TrainingJobName": name})
        by_host = Metric("ns", "CPUUtilization", {"Host": f"{name}/algo-1"})
        stream = LogStream("group", f"{name}/algo-1-1", Path("/log"), 1)
        state.record_logs(
            name,
            lambda job: replace(job, log_offsets={"s": 1}),
            [Datum.of(by_job, 1, 0.5), Datum.of(by_host, 1, 50.0)],
            [stream],
        )
    state.forget_training_job(new_job("job"), "group", ["algo-1"], "rules")
    assert state.tags.of(new_job("job").arn) == {}
    assert state.tags.of(new_job("job-2").arn) == {"key": "job-2"}
    assert [metric.dimensions for _, metric in state.metrics.known("ns")] == [
        {"TrainingJobName": "job-2"},
        {"Host": "job-2/algo-1"},
    ]
    assert [stream.name for stream in state.logs.streams("group")] == ["job-2/algo-1-1"]


def test_logs_of_a_job_that_is_gone_are_not_recorded(state: State) -> None:
    metric = Metric("ghost", "loss")
    state.record_logs("ghost", lambda job: job, [Datum.of(metric, 1, 1.0)], [])
    assert state.metrics.known("ghost") == []


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(texts.filter(bool), unique=True, max_size=8), texts)
def test_streams_are_found_by_any_prefix(state: State, names: list[str], prefix: str) -> None:
    state.logs.remove_group("prefixes")
    state.logs.add_group("prefixes", 0)
    for name in names:
        state.logs.add_stream(LogStream("prefixes", name, Path("/log"), 0))
    found = [stream.name for stream in state.logs.streams("prefixes", prefix)]
    assert found == sorted(name for name in names if name.startswith(prefix))
