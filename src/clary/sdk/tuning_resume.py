"""Going on with a tuning job that was stopped, or with one that has found enough for more."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from clary.errors import UsageError
from clary.sdk.hyperparameter_tuner import NAME_LIMIT, PARENT_LIMIT, start_tuning_job
from clary.sdk.session import Session
from clary.sdk.tuning_description import TrialDescription, TuningDescription
from clary.sdk.tuning_job import TuningJob, list_tuning_jobs


@dataclass(frozen=True)
class NumberedTrial:
    """A trial of a tuning job or of those that it goes on from; `number` counts through all."""

    number: int
    trial: TrialDescription


def all_trials(job: TuningJob, found: TuningDescription) -> list[NumberedTrial]:
    """The trials of the tuning jobs that a tuning job goes on from, and its own behind them.

    Raises:
        ServiceError: the service does not answer, or a parent was deleted.
    """
    before = earlier_trials(job, found)
    return [*before, *number_on(before, job.trials())]


def earlier_trials(job: TuningJob, found: TuningDescription) -> list[NumberedTrial]:
    """The trials of the tuning jobs that a tuning job goes on from.

    Raises:
        ServiceError: the service does not answer, or a parent was deleted.
    """
    parents = (TuningJob(job.session, name) for name in reversed(found.goes_on_from))
    return number_on((), [trial for parent in parents for trial in parent.trials()])


def number_on(
    before: Sequence[NumberedTrial], trials: Sequence[TrialDescription]
) -> list[NumberedTrial]:
    """Trials with the numbers that follow on those before them."""
    return [
        NumberedTrial(number, trial) for number, trial in enumerate(trials, start=len(before) + 1)
    ]


def resume_tuning(
    session: Session,
    earlier: str,
    *,
    trials: int | None = None,
    parallel: int | None = None,
    seconds: int | None = None,
    name: str | None = None,
) -> TuningJob:
    """Start a tuning job that knows all trials of an earlier one and makes those that are left.

    Args:
        session: with the service that has the earlier job.
        earlier: its name.
        trials: of both together; as many as the earlier one was to make by default.
        parallel: how many at once; as before by default.
        seconds: how long it may take; as the earlier one by default.
        name: made of the earlier one's by default.

    Raises:
        UsageError: there is no such tuning job, it still runs, it has nothing left to try, or
            the name is taken.
        ServiceError: the service refuses the job.
    """
    before = TuningJob(session, earlier)
    found = before.description()
    if not found.ended:
        raise UsageError(
            f"the tuning job {earlier} is running: `clary tune --attach {earlier}` shows it"
        )
    known = [one.trial for one in all_trials(before, found)]
    limits: dict[str, Any] = dict(found.raw["HyperParameterTuningJobConfig"]["ResourceLimits"])
    if found.strategy == "Grid":
        if trials is not None:
            raise UsageError("a grid has as many trials as combinations: leave --trials out")
        limits.pop("MaxNumberOfTrainingJobs", None)
        _require_left(earlier, found.space.size, known, found)
    else:
        total = trials or _planned(found, before)
        if total is not None:
            limits["MaxNumberOfTrainingJobs"] = _require_left(earlier, total, known, found)
    if parallel is not None:
        limits["MaxParallelTrainingJobs"] = parallel
    if seconds is not None:
        limits["MaxRuntimeInSeconds"] = seconds
    request = _request(found, limits, len(known))
    request["HyperParameterTuningJobName"] = name or _next_name(session, earlier)
    return start_tuning_job(session, request)


def _planned(found: TuningDescription, before: TuningJob) -> int | None:
    """How many trials the whole search was to have, the parents' among them."""
    if found.max_trials is None:
        return None
    parents = (TuningJob(before.session, parent) for parent in found.goes_on_from)
    return found.max_trials + sum(_done(one.trials(), found) for one in parents)


def _done(trials: Sequence[TrialDescription], found: TuningDescription) -> int:
    """The trials that need not be made again: those that ended by themselves, or were stopped
    because others did better.
    """
    ended = {"Completed", "Failed", "Stopped"} if found.stops_early else {"Completed", "Failed"}
    return sum(trial.status in ended for trial in trials)


def _require_left(
    name: str, total: int | None, known: Sequence[TrialDescription], found: TuningDescription
) -> int:
    done = _done(known, found)
    left = (total or 0) - done
    if left < 1:
        more = "" if found.strategy == "Grid" else f": give --trials {done + 10} for ten more"
        raise UsageError(f"the tuning job {name} has made all its {done} trials{more}")
    return left


def _request(found: TuningDescription, limits: dict[str, Any], known: int) -> dict[str, Any]:
    config = {**found.raw["HyperParameterTuningJobConfig"], "ResourceLimits": limits}
    if found.seed is not None:
        # The numbers of trials begin anew, and what is drawn for them must not.
        config["RandomSeed"] = (found.seed + known) % 2**31
    parents = (found.name, *found.goes_on_from)[:PARENT_LIMIT]
    request: dict[str, Any] = {
        "HyperParameterTuningJobConfig": config,
        "WarmStartConfig": {
            "ParentHyperParameterTuningJobs": [
                {"HyperParameterTuningJobName": parent} for parent in parents
            ],
            "WarmStartType": "IdenticalDataAndAlgorithm",
        },
    }
    for member in ("TrainingJobDefinition", "TrainingJobDefinitions", "Autotune"):
        if found.raw.get(member):
            request[member] = found.raw[member]
    return request


def _next_name(session: Session, name: str) -> str:
    """`photos-2` after `photos`, `photos-3` after `photos-2`, whichever is free."""
    first = re.sub(r"-\d{1,2}$", "", name)
    taken = set(list_tuning_jobs(session))
    number = 2
    while (
        following := f"{first[: NAME_LIMIT - 1 - len(str(number))].rstrip('-')}-{number}"
    ) in taken:
        number += 1
    return following
