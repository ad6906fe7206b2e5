"""Ends tuning jobs: stops the trials that run, and waits for them."""

from __future__ import annotations

from collections.abc import Callable

from clary import clock
from clary.service.state.state import State
from clary.service.state.training_jobs import ACTIVE, TrainingJob
from clary.service.state.tuning_jobs import Ending, TuningJob
from clary.service.supervisor import transitions as training
from clary.service.supervisor.tuning.transitions import Event, advance


def wind_up(state: State, job: TuningJob, changed: Callable[[], None]) -> None:
    """Stop the trials of a tuning job that begins no more; end it when none is left.

    What is wrong with its request does not matter any more: whatever can be stored can be ended.

    Raises:
        StorageError: the database cannot be read or written.
    """
    active = state.training_jobs.trials_of(job.number, statuses=ACTIVE)
    for trial in active:
        if trial.status == "InProgress":
            stop_trial(state, trial.name, training.Event.STOP_ASKED, changed)
    if not active:
        tell(state, job.name, changed, Event.TRIALS_ENDED)


def stop_trial(state: State, name: str, event: training.Event, changed: Callable[[], None]) -> None:
    """Stop a trial, unless its code has ended: what it made is worth the moment of storing it.

    Raises:
        StorageError: the database cannot be written.
    """
    at_ms = clock.now_ms()

    def stop(job: TrainingJob) -> TrainingJob | None:
        if training.state_of(job) == training.UPLOADING:
            return None
        return training.advance(job, event, at_ms)

    if state.training_jobs.change(name, stop) is not None:
        changed()


def tell(
    state: State,
    name: str,
    changed: Callable[[], None],
    event: Event,
    reason: tuple[str, str] | None = None,
) -> bool:
    """Store that something happened to a tuning job; whether that changed it.

    Args:
        state: where it is stored.
        name: the tuning job's.
        changed: called after a change.
        event: what happened.
        reason: why no more trials are begun, as a word and as a sentence.

    Raises:
        StorageError: the database cannot be written.
    """
    at_ms = clock.now_ms()
    ending = None if reason is None else Ending(*reason, at_ms)
    told = state.tuning_jobs.change(name, lambda job: advance(job, event, at_ms, ending))
    if told is not None:
        changed()
    return told is not None
