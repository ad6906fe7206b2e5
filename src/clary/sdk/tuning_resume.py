"""Going on with a tuning job that was stopped, or with one that has found enough for more."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from clary.errors import NothingLeftToTry, UsageError
from clary.sdk.hyperparameter_tuner import NAME_LIMIT, PARENT_LIMIT, start_tuning_job
from clary.sdk.session import Session
from clary.sdk.training_job import TrainingJob
from clary.sdk.tuning_description import TrialDescription, TuningDescription
from clary.sdk.tuning_job import TuningJob, list_tuning_jobs

# What Clary says of a training job that its tuning job has stopped because others did better.
_EARLY = "stopped early"


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
    known: list[NumberedTrial] = []
    for name in reversed(found.goes_on_from):
        known += number_on(known, TuningJob(job.session, name).trials())
    return known


def number_on(
    before: Sequence[NumberedTrial], trials: Sequence[TrialDescription]
) -> list[NumberedTrial]:
    """Trials with the numbers that follow on those before them.

    A trial keeps its number when another one is deleted.
    """
    last = max((one.number for one in before), default=0)
    return [NumberedTrial(last + trial.number, trial) for trial in trials]


def was_stopped_early(session: Session, found: TuningDescription, trial: TrialDescription) -> bool:
    """Whether a trial was stopped because others did better, and not along with its tuning job.

    Raises:
        ServiceError: the service does not answer, or the training job was deleted.
    """
    if not found.stops_early or trial.status != "Stopped" or trial.objective is None:
        return False
    if found.status not in {"Stopping", "Stopped"}:
        return True
    # Only the training job itself can tell then.
    return _EARLY in TrainingJob(session, trial.name).description().message


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
        NothingLeftToTry: it has made all trials, or tried all combinations.
        UsageError: there is no such tuning job, it still runs, or the name is taken.
        ServiceError: the service refuses the job.
    """
    before = TuningJob(session, earlier)
    found = before.description()
    if not found.ended:
        raise UsageError(
            f"the tuning job {earlier} is running: `clary tune --attach {earlier}` shows it"
        )
    trials_before = [
        (parent.description(), parent.trials())
        for parent in (TuningJob(session, name) for name in found.goes_on_from)
    ]
    own = before.trials()
    known_before = [t for known in trials_before for t in _known(session, *known)]
    known = [*known_before, *_known(session, found, own)]
    done_before, done = len(known_before), len(known)
    limits: dict[str, Any] = dict(found.raw["HyperParameterTuningJobConfig"]["ResourceLimits"])
    most = limits.pop("MaxNumberOfTrainingJobs", None)
    if found.strategy == "Grid":
        if trials is not None:
            raise UsageError("a grid has as many trials as combinations: leave --trials out")
        _require_left(earlier, found.space.size, done, grid=True)
    elif trials is not None or most is not None:
        total = done_before + most if trials is None else trials
        left = _require_left(earlier, total, done, grid=False)
        limits["MaxNumberOfTrainingJobs"] = min(left, _require_untried(found, known) or left)
    if parallel is not None:
        limits["MaxParallelTrainingJobs"] = parallel
    if seconds is not None:
        limits["MaxRuntimeInSeconds"] = seconds
    seen = len(own) + sum(len(known) for _, known in trials_before)
    request = _request(found, limits, seen)
    request["HyperParameterTuningJobName"] = name or _next_name(session, earlier)
    return start_tuning_job(session, request)


def _known(
    session: Session, found: TuningDescription, trials: Sequence[TrialDescription]
) -> list[TrialDescription]:
    """The trials that need not be made again: those that ended by themselves, or were stopped
    because others did better.
    """
    return [
        trial
        for trial in trials
        if trial.status in {"Completed", "Failed"} or was_stopped_early(session, found, trial)
    ]


def _require_untried(found: TuningDescription, known: Sequence[TrialDescription]) -> int | None:
    """How many combinations are left to try; None where there is no end of them."""
    size = found.space.size
    if size is None:
        return None
    untried = size - len({tuple(sorted(trial.values.items())) for trial in known})
    if untried < 1:
        raise NothingLeftToTry(
            f"the tuning job {found.name} has tried all {size} combinations of its values: start "
            "a new one with other ranges"
        )
    return untried


def _require_left(name: str, total: int | None, done: int, *, grid: bool) -> int:
    left = (total or 0) - done
    if left < 1:
        more = "" if grid else f": give --trials {done + 10} for ten more"
        raise NothingLeftToTry(f"the tuning job {name} has made all its {done} trials{more}")
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
    if found.raw.get("Autotune"):
        request["Autotune"] = found.raw["Autotune"]
    if found.raw.get("TrainingJobDefinitions"):
        several = [_definition(one) for one in found.raw["TrainingJobDefinitions"]]
        request["TrainingJobDefinitions"] = several
    else:
        request["TrainingJobDefinition"] = _definition(found.raw["TrainingJobDefinition"])
    return request


def _definition(described: Mapping[str, Any]) -> dict[str, Any]:
    """A definition as it was given: the service adds what it tells the trials besides."""
    given = described.get("StaticHyperParameters") or {}
    kept = {name: value for name, value in given.items() if not name.startswith("_tuning_")}
    return {**described, "StaticHyperParameters": kept}


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
