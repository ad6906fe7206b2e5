"""Any state, any event: a legal state, told in AWS's words."""

from __future__ import annotations

from dataclasses import replace

import botocore.session
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clary.service.state.training_jobs import TrainingJob
from clary.service.supervisor.transitions import (
    COMPLETED,
    FAILURE_LIMIT,
    STARTING,
    TABLE,
    TERMINAL,
    TRAINING,
    UPLOADING,
    Event,
    advance,
    last_event,
    state_of,
)
from tests.service.supervisor.conftest import new_job

MODEL = botocore.session.get_session().get_service_model("sagemaker")
STATUSES = set(MODEL.shape_for("TrainingJobStatus").enum)
SECONDARY = set(MODEL.shape_for("SecondaryStatus").enum)

events = st.lists(
    st.tuples(st.sampled_from(Event), st.integers(0, 1000), st.none() | st.text(max_size=2000)),
    max_size=30,
)


def check(job: TrainingJob) -> None:
    assert state_of(job) in TABLE or job.status == "Deleting"
    assert job.status in STATUSES
    assert job.secondary in SECONDARY
    assert job.transitions[0].status == "Starting"
    if job.status != "Deleting":
        assert job.transitions[-1].status == job.secondary
    assert all(one.message for one in job.transitions)
    for earlier, later in zip(job.transitions, job.transitions[1:], strict=False):
        assert earlier.status != later.status
        assert earlier.ended_ms == later.started_ms
    ended = not job.active
    assert (job.transitions[-1].ended_ms is not None) == (ended or job.status == "Deleting")
    if ended:
        assert job.ended_ms is not None
        assert state_of(job) in TERMINAL
    if job.status in {"Stopping", "Stopped"}:
        assert job.stop_cause is not None
        assert job.stop_asked_ms is not None
    if job.failure is not None:
        assert len(job.failure) <= FAILURE_LIMIT


@given(events)
def test_any_events_lead_through_legal_states_only(
    happened: list[tuple[Event, int, str | None]],
) -> None:
    job, now_ms = new_job("any"), 10**12
    for event, later_ms, failure in happened:
        now_ms += later_ms
        before = job
        changed = advance(job, event, now_ms, "Waiting for room", failure)
        if changed is None:
            assert event not in TABLE.get(state_of(before), {})
            continue
        job = changed
        check(job)
        if state_of(before) in TERMINAL:
            assert job.status == "Deleting"
        if before.failure is not None:
            assert job.failure == before.failure


@pytest.mark.parametrize("state", TERMINAL)
@pytest.mark.parametrize("event", [event for event in Event if event is not Event.DELETED])
def test_what_has_ended_stays(state: tuple[str, str], event: Event) -> None:
    job = replace(new_job("ended"), status=state[0], secondary=state[1])
    assert advance(job, event, 1, "words", "reason") is None


def test_every_state_but_the_ends_can_be_left_and_reached() -> None:
    targets = {target[:2] for row in TABLE.values() for target in row.values()}
    assert set(TABLE) - targets == {STARTING}
    assert all(TABLE.values())


def test_the_way_of_a_job_that_works_reads_as_on_aws() -> None:
    job = new_job("works")
    for event in (
        Event.ADMITTED,
        Event.PREPARED,
        Event.RUNNING,
        Event.HOSTS_ENDED,
        Event.COMPLETED,
    ):
        changed = advance(job, event, job.modified_ms + 1000)
        assert changed is not None
        job = changed
    assert [(one.status, one.message) for one in job.transitions] == [
        ("Starting", "Starting the training job"),
        ("Downloading", "Downloading input data"),
        ("Training", "Training image download completed. Training in progress."),
        ("Uploading", "Uploading generated training model"),
        ("Completed", "Training job completed"),
    ]
    assert state_of(job) == COMPLETED
    assert job.ended_ms == job.modified_ms


def test_a_failure_of_the_user_s_code_ends_the_training_time_when_it_is_seen() -> None:
    job = replace(new_job("fails"), status=TRAINING[0], secondary=TRAINING[1])
    failing = advance(job, Event.HOSTS_ENDED, 5_000, failure="AlgorithmError: no")
    assert failing is not None
    assert state_of(failing) == UPLOADING
    failed = advance(failing, last_event(failing), 9_000)
    assert failed is not None
    assert (failed.status, failed.ended_ms, failed.failure) == (
        "Failed",
        5_000,
        "AlgorithmError: no",
    )
