"""How a training job moves from state to state: one table, in AWS's words.

A state is a pair of TrainingJobStatus and SecondaryStatus. What the table does not hold does not
happen: `advance` gives None, and the job stays as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from enum import Enum, auto
from types import MappingProxyType
from typing import Any, NamedTuple

from clary.service.state.training_jobs import TrainingJob, Transition, TrialOf

FAILURE_LIMIT = 1024


class Event(Enum):
    """What can happen to a job."""

    MACHINE_FULL = auto()
    ADMITTED = auto()
    PREPARING = auto()
    PREPARED = auto()
    RUNNING = auto()
    HOSTS_ENDED = auto()
    STOP_ASKED = auto()
    FELL_BEHIND = auto()
    RULE_FIRED = auto()
    RUNTIME_EXCEEDED = auto()
    WAIT_EXCEEDED = auto()
    PENDING_EXCEEDED = auto()
    COMPLETED = auto()
    FAILED = auto()
    STOPPED = auto()
    STOPPED_EARLY = auto()
    STOPPED_BY_RULE = auto()
    STOPPED_FOR_RUNTIME = auto()
    STOPPED_FOR_WAIT = auto()
    DELETED = auto()


class Target(NamedTuple):
    """Where an event leads. A message of None is the one that comes with the event."""

    status: str
    secondary: str
    message: str | None


State = tuple[str, str]

STARTING: State = ("InProgress", "Starting")
PENDING: State = ("InProgress", "Pending")
DOWNLOADING: State = ("InProgress", "Downloading")
TRAINING: State = ("InProgress", "Training")
UPLOADING: State = ("InProgress", "Uploading")
STOPPING: State = ("Stopping", "Stopping")
STOPPING_UPLOADING: State = ("Stopping", "Uploading")
COMPLETED: State = ("Completed", "Completed")
FAILED: State = ("Failed", "Failed")
STOPPED: State = ("Stopped", "Stopped")
STOPPED_FOR_RUNTIME: State = ("Stopped", "MaxRuntimeExceeded")
STOPPED_FOR_WAIT: State = ("Stopped", "MaxWaitTimeExceeded")

FIRST_MESSAGE = "Starting the training job"
TERMINAL = (COMPLETED, FAILED, STOPPED, STOPPED_FOR_RUNTIME, STOPPED_FOR_WAIT)

_pending = Target(*PENDING, None)
_downloading = Target(*DOWNLOADING, "Downloading input data")
_downloads_on = Target(*DOWNLOADING, None)
_launching = Target(*TRAINING, "Downloading the training image")
_training = Target(*TRAINING, "Training image download completed. Training in progress.")
_uploading = Target(*UPLOADING, "Uploading generated training model")
_stopping = Target(*STOPPING, "Stopping the training job")
_stopping_for_rule = Target(*STOPPING, None)
_stop_after_upload = Target(*STOPPING_UPLOADING, "Uploading generated training model")
_completed = Target(*COMPLETED, "Training job completed")
_failed = Target(*FAILED, "Training job failed")
_stopped = Target(*STOPPED, "Training job stopped")
_stopped_early = Target(*STOPPED, "Training job stopped early by its hyperparameter tuning job")
_stopped_by_rule = Target(*STOPPED, "Training job stopped by a rule that has fired")
_runtime = Target(
    *STOPPED_FOR_RUNTIME, "Training job runtime exceeded MaxRuntimeInSeconds provided"
)
_wait = Target(*STOPPED_FOR_WAIT, "Training job wait time exceeded MaxWaitTimeInSeconds provided")

_QUEUED: Mapping[Event, Target] = {
    Event.MACHINE_FULL: _pending,
    Event.ADMITTED: _downloading,
    Event.STOP_ASKED: _stopping,
    Event.RULE_FIRED: _stopping_for_rule,
    Event.WAIT_EXCEEDED: _stopping,
    Event.PENDING_EXCEEDED: _stopping,
}
_STOPPED: Mapping[Event, Target] = {
    Event.FAILED: _failed,
    Event.STOPPED: _stopped,
    Event.STOPPED_EARLY: _stopped_early,
    Event.STOPPED_BY_RULE: _stopped_by_rule,
    Event.STOPPED_FOR_RUNTIME: _runtime,
    Event.STOPPED_FOR_WAIT: _wait,
}

TABLE: Mapping[State, Mapping[Event, Target]] = MappingProxyType(
    {
        STARTING: _QUEUED,
        PENDING: _QUEUED,
        DOWNLOADING: {
            Event.PREPARING: _downloads_on,
            Event.PREPARED: _launching,
            Event.STOP_ASKED: _stopping,
            Event.RULE_FIRED: _stopping_for_rule,
            Event.WAIT_EXCEEDED: _stopping,
            Event.FAILED: _failed,
        },
        TRAINING: {
            Event.RUNNING: _training,
            Event.HOSTS_ENDED: _uploading,
            Event.STOP_ASKED: _stopping,
            Event.FELL_BEHIND: _stopping,
            Event.RULE_FIRED: _stopping_for_rule,
            Event.RUNTIME_EXCEEDED: _stopping,
            Event.WAIT_EXCEEDED: _stopping,
            Event.FAILED: _failed,
        },
        UPLOADING: {
            Event.STOP_ASKED: _stop_after_upload,
            Event.COMPLETED: _completed,
            Event.FAILED: _failed,
        },
        STOPPING: {Event.HOSTS_ENDED: _stop_after_upload, **_STOPPED},
        STOPPING_UPLOADING: _STOPPED,
        **{
            state: {Event.DELETED: Target("Deleting", state[1], "Deleting the training job")}
            for state in TERMINAL
        },
    }
)

STOP_CAUSES: Mapping[Event, Event] = MappingProxyType(
    {
        Event.STOP_ASKED: Event.STOPPED,
        Event.FELL_BEHIND: Event.STOPPED_EARLY,
        Event.RULE_FIRED: Event.STOPPED_BY_RULE,
        Event.PENDING_EXCEEDED: Event.STOPPED,
        Event.RUNTIME_EXCEEDED: Event.STOPPED_FOR_RUNTIME,
        Event.WAIT_EXCEEDED: Event.STOPPED_FOR_WAIT,
    }
)


def submitted(
    name: str, arn: str, request: Mapping[str, Any], at_ms: int, trial: TrialOf | None = None
) -> TrainingJob:
    """A job in its first state; `trial` is given when a tuning job makes it."""
    status, secondary = STARTING
    return TrainingJob(
        name=name,
        arn=arn,
        request=request,
        status=status,
        secondary=secondary,
        transitions=(Transition(secondary, FIRST_MESSAGE, at_ms),),
        created_ms=at_ms,
        modified_ms=at_ms,
        trial=trial,
    )


def state_of(job: TrainingJob) -> State:
    """The state of a job, as the table names it."""
    return job.status, job.secondary


def last_event(job: TrainingJob) -> Event:
    """What ends a job whose outputs are stored: its failure, why it was stopped, or success."""
    if job.failure is not None:
        return Event.FAILED
    if job.stop_cause is not None:
        return STOP_CAUSES[Event[job.stop_cause]]
    return Event.COMPLETED


def advance(
    job: TrainingJob,
    event: Event,
    at_ms: int,
    message: str | None = None,
    failure: str | None = None,
) -> TrainingJob | None:
    """The job after an event; None when nothing happens to a job in this state.

    Args:
        job: the job before.
        event: what happened.
        at_ms: when.
        message: what the job says from now on, for events that bring their own words.
        failure: why the job fails, or will when its outputs are stored; the first reason stays.
    """
    target = TABLE.get(state_of(job), {}).get(event)
    if target is None:
        return None
    text = target.message or message or job.message
    if job.failure is None and failure is not None:
        failure = failure[:FAILURE_LIMIT]
    else:
        failure = job.failure
    changed = replace(
        job,
        status=target.status,
        secondary=target.secondary,
        transitions=_told(job, target, text, at_ms),
        modified_ms=at_ms,
        failure=failure,
    )
    if event is Event.ADMITTED:
        changed = replace(changed, started_ms=at_ms)
    elif event is Event.PREPARED:
        changed = replace(changed, launched=True)
    elif event is Event.RUNNING:
        changed = replace(changed, running_ms=job.running_ms or at_ms)
    if event in STOP_CAUSES:
        changed = replace(changed, stop_asked_ms=at_ms, stop_cause=event.name)
    if job.ended_ms is None and (state_of(changed) in TERMINAL or failure is not None):
        changed = replace(changed, ended_ms=at_ms)
    return changed


def _told(job: TrainingJob, target: Target, message: str, at_ms: int) -> tuple[Transition, ...]:
    *earlier, last = job.transitions
    if target.status == "Deleting":
        return job.transitions
    if target.secondary == last.status:
        return (*earlier, replace(last, message=message))
    ended_ms = at_ms if (target.status, target.secondary) in TERMINAL else None
    return (
        *earlier,
        replace(last, ended_ms=at_ms),
        Transition(target.secondary, message, at_ms, ended_ms),
    )
