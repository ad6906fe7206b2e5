"""What a tuning job and those that it is warm started from must have in common."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from clary.formats.job_directory import TUNING_OBJECTIVE
from clary.service.faults import validation
from clary.service.office import Office
from clary.service.operations.tuning_job_checks import limit_exceeded
from clary.service.state.tuning_jobs import TuningJob
from clary.service.supervisor.tuning.definitions import (
    TRIAL_LIMITS,
    Definition,
    read_criteria,
    read_definitions,
)

CHANGE_LIMIT = 10
# A hyperparameter that becomes static, or tunable, counts for its value, too.
_FLIP = 2
# What the SDK's own say of the code changes with every upload.
_OF_THE_SDK = "sagemaker_"


def check_parents(
    office: Office, request: Mapping[str, Any], definitions: Sequence[Definition]
) -> tuple[TuningJob, ...]:
    """Find the tuning jobs that a request names as its parents, and refuse what does not fit.

    Args:
        office: where tuning jobs are.
        request: CreateHyperParameterTuningJob's, checked but for this.
        definitions: its training job definitions, read.

    Raises:
        Fault: a ValidationException with all that does not fit, or a ResourceLimitExceeded.
    """
    asked = request.get("WarmStartConfig")
    if asked is None:
        return ()
    names = [one["HyperParameterTuningJobName"] for one in asked["ParentHyperParameterTuningJobs"]]
    parents = []
    for name in names:
        parent = office.state.tuning_jobs.find(name)
        if parent is None:
            raise validation(f"The parent hyperparameter tuning job {name} does not exist.")
        parents.append(parent)
    identical = asked["WarmStartType"] == "IdenticalDataAndAlgorithm"
    found = [
        problem
        for parent in parents
        for problem in _mismatches(parent, definitions, identical=identical)
    ]
    if found:
        raise validation(" ".join(found))
    _check_limit(request, definitions, parents)
    return tuple(parents)


def _mismatches(
    parent: TuningJob, definitions: Sequence[Definition], *, identical: bool
) -> Iterator[str]:
    if parent.active:
        yield (
            f"The parent hyperparameter tuning job {parent.name} is {parent.status}: wait for it, "
            "or stop it."
        )
        return
    theirs = read_definitions(parent.request, seed=0)
    by_name = {one.name: one for one in theirs}
    alone = len(definitions) == len(theirs) == 1
    for definition in definitions:
        counterpart = theirs[0] if alone else by_name.get(definition.name)
        if counterpart is None:
            yield (
                f"The parent hyperparameter tuning job {parent.name} has no training job "
                f"definition {definition.name!r}."
            )
            continue
        yield from _definition_mismatches(parent.name, counterpart, definition)
        if identical:
            yield from _data_mismatches(parent.name, counterpart.request, definition.request)


def _definition_mismatches(parent: str, theirs: Definition, ours: Definition) -> Iterator[str]:
    objective = (ours.objective, ours.search.direction)
    if objective != (theirs.objective, theirs.search.direction):
        yield (
            f"The objective metric must be the same as that of the parent hyperparameter tuning "
            f"job {parent}, [{theirs.search.direction} {theirs.objective}]."
        )
    before, now = _kinds(theirs), _kinds(ours)
    if before.keys() != now.keys():
        different = ", ".join(sorted(before.keys() ^ now.keys()))
        yield (
            "The number of static plus tunable hyperparameters, and their names, must be the same "
            f"as in the parent hyperparameter tuning job {parent}: {different} differ."
        )
        return
    changes = 0
    for name, (kind, value) in now.items():
        kind_before, value_before = before[name]
        if kind == kind_before:
            changes += value != value_before
        elif "static" in (kind, kind_before):
            changes += _FLIP
        else:
            yield (
                f"The type of the hyperparameter {name!r} must not change: it is {kind_before} in "
                f"the parent hyperparameter tuning job {parent}, and {kind} here."
            )
    if changes > CHANGE_LIMIT:
        yield (
            f"{changes} changes of hyperparameters against the parent hyperparameter tuning job "
            f"{parent} are asked for, and {CHANGE_LIMIT} are allowed; one that becomes static or "
            "tunable counts twice."
        )


def _kinds(definition: Definition) -> dict[str, tuple[str, str | None]]:
    """By hyperparameter: static and its value, or the kind of its range."""
    static = definition.request.get("StaticHyperParameters") or {}
    kinds: dict[str, tuple[str, str | None]] = {
        name: ("static", value)
        for name, value in static.items()
        if name != TUNING_OBJECTIVE and not name.startswith(_OF_THE_SDK)
    }
    for one in definition.search.space.ranges:
        kinds[one.name] = (type(one).__name__.removesuffix("Range").lower(), None)
    return kinds


def _data_mismatches(
    parent: str, theirs: Mapping[str, Any], ours: Mapping[str, Any]
) -> Iterator[str]:
    remedy = "choose the warm start type TransferLearning to change it"
    algorithms = [one["AlgorithmSpecification"] for one in (theirs, ours)]
    images = [one.get("TrainingImage") or one.get("AlgorithmName") for one in algorithms]
    if images[0] != images[1]:
        yield (
            f"The training image must be the same as in the parent hyperparameter tuning job "
            f"{parent}, {images[0]}: {remedy}."
        )
    if theirs.get("InputDataConfig") != ours.get("InputDataConfig"):
        yield (
            "InputDataConfig must be the same as in the parent hyperparameter tuning job "
            f"{parent}: {remedy}."
        )


def _check_limit(
    request: Mapping[str, Any],
    definitions: Sequence[Definition],
    parents: Sequence[TuningJob],
) -> None:
    limits = request["HyperParameterTuningJobConfig"]["ResourceLimits"]
    if "MaxNumberOfTrainingJobs" not in limits:
        return
    asked = (read_criteria(request, definitions).max_trials or 0) + sum(
        parent.trials for parent in parents
    )
    most = TRIAL_LIMITS[request["HyperParameterTuningJobConfig"]["Strategy"]]
    if asked > most:
        raise limit_exceeded(
            "Maximum number of training jobs per hyperparameter tuning job, those of its parents "
            "included",
            most,
            asked,
            "lower MaxNumberOfTrainingJobs, or name fewer parents",
        )
