"""Any state, any event: a legal state of a tuning job."""

from __future__ import annotations

import botocore.session
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clary.service.state.tuning_jobs import Ending, TuningJob
from clary.service.supervisor.transitions import FAILURE_LIMIT
from clary.service.supervisor.tuning.transitions import (
    SEARCHING,
    TABLE,
    TERMINAL,
    WINDING_UP,
    Event,
    advance,
    state_of,
)
from tests.service.supervisor.tuning.conftest import new_tuning_job

MODEL = botocore.session.get_session().get_service_model("sagemaker")
STATUSES = set(MODEL.shape_for("HyperParameterTuningJobStatus").enum)

happenings = st.lists(
    st.tuples(st.sampled_from(Event), st.integers(0, 1000), st.text(max_size=2000)), max_size=20
)


def check(job: TuningJob) -> None:
    assert state_of(job) in TABLE
    assert job.status in STATUSES
    assert job.active == (state_of(job) not in TERMINAL)
    assert (job.ended_ms is not None) == (state_of(job) in TERMINAL)
    assert (job.failure is not None) == (job.phase in {"Failing", "Failed"})
    assert job.failure is None or len(job.failure) <= FAILURE_LIMIT


@given(happenings)
def test_any_events_lead_through_legal_states_only(happened: list[tuple[Event, int, str]]) -> None:
    job, now_ms = new_tuning_job("any"), 10**12
    for event, later_ms, words in happened:
        now_ms += later_ms
        before = job
        ending = None
        if event in {Event.CRITERION_MET, Event.GIVEN_UP}:
            ending = Ending("any", words, now_ms)
        changed = advance(job, event, now_ms, ending)
        if changed is None:
            assert event not in TABLE[state_of(before)]
            continue
        job = changed
        check(job)
        assert state_of(before) not in TERMINAL
        begun = job.trials - before.trials
        assert begun == (event is Event.TRIAL_BEGUN)
        assert not begun or state_of(before) == SEARCHING


@pytest.mark.parametrize("event", Event)
@pytest.mark.parametrize("state", TERMINAL)
def test_what_has_ended_stays(state: tuple[str, str], event: Event) -> None:
    assert event not in TABLE[state]


def test_every_state_but_the_first_is_reached_and_every_one_ends() -> None:
    targets = {target for row in TABLE.values() for target in row.values()}
    assert targets == set(TABLE)
    for state in WINDING_UP:
        assert TABLE[state][Event.TRIALS_ENDED] in TERMINAL
