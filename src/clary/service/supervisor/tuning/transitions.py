"""How a tuning job moves from phase to phase: one table.

A state is a pair of HyperParameterTuningJobStatus and a phase of Clary's own. What the table does
not hold does not happen: `advance` gives None, and the job stays as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from enum import Enum, auto
from types import MappingProxyType

from clary.service.state.tuning_jobs import Ending, TuningJob
from clary.service.supervisor.transitions import FAILURE_LIMIT


class Event(Enum):
    """What can happen to a tuning job."""

    TRIAL_BEGUN = auto()
    CRITERION_MET = auto()
    GIVEN_UP = auto()
    STOP_ASKED = auto()
    TRIALS_ENDED = auto()


State = tuple[str, str]

SEARCHING: State = ("InProgress", "Searching")
COMPLETING: State = ("InProgress", "Completing")
FAILING: State = ("InProgress", "Failing")
STOPPING: State = ("Stopping", "Stopping")
COMPLETED: State = ("Completed", "Completed")
FAILED: State = ("Failed", "Failed")
STOPPED: State = ("Stopped", "Stopped")

# The trials that run are stopped, and none is begun.
WINDING_UP = (COMPLETING, FAILING, STOPPING)
TERMINAL = (COMPLETED, FAILED, STOPPED)

TABLE: Mapping[State, Mapping[Event, State]] = MappingProxyType(
    {
        SEARCHING: {
            Event.TRIAL_BEGUN: SEARCHING,
            Event.CRITERION_MET: COMPLETING,
            Event.GIVEN_UP: FAILING,
            Event.STOP_ASKED: STOPPING,
        },
        COMPLETING: {Event.STOP_ASKED: STOPPING, Event.TRIALS_ENDED: COMPLETED},
        FAILING: {Event.TRIALS_ENDED: FAILED},
        STOPPING: {Event.TRIALS_ENDED: STOPPED},
        COMPLETED: {},
        FAILED: {},
        STOPPED: {},
    }
)


def state_of(job: TuningJob) -> State:
    """The state of a tuning job, as the table names it."""
    return job.status, job.phase


def advance(
    job: TuningJob, event: Event, at_ms: int, ending: Ending | None = None
) -> TuningJob | None:
    """The tuning job after an event; None when nothing happens to one in this state.

    Args:
        job: the tuning job before.
        event: what happened.
        at_ms: when.
        ending: why no more trials are begun, with CRITERION_MET and GIVEN_UP.
    """
    target = TABLE[state_of(job)].get(event)
    if target is None:
        return None
    changed = replace(job, status=target[0], phase=target[1], modified_ms=at_ms)
    if event is Event.TRIAL_BEGUN:
        changed = replace(changed, trials=job.trials + 1)
    if ending is not None:
        changed = replace(changed, completion=ending)
    if event is Event.GIVEN_UP and ending is not None:
        changed = replace(changed, failure=ending.sentence[:FAILURE_LIMIT])
    if target in TERMINAL:
        changed = replace(changed, ended_ms=at_ms)
    return changed
