"""What UpdateTrainingJob makes of a training job that runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from clary.formats.builtin_algorithm import lane_key
from clary.gpus import count_gpus
from clary.service.faults import Fault, validation
from clary.service.operations.profiler_checks import profiler_problems
from clary.service.operations.rule_checks import rule_problems
from clary.service.requests.rule_configurations import ADDED_TOGETHER, MEMBERS
from clary.service.requests.updates import (
    HAS_BEEN_PROFILED,
    PROFILER,
    RULES,
    is_profiled,
    merged,
    with_profiler_defaults,
)
from clary.service.state.rule_evaluations import RuleEvaluation
from clary.service.state.training_jobs import TrainingJob
from clary.service.supervisor.rules.transitions import turned_off

_UPDATABLE = (PROFILER, RULES, "ResourceConfig", "RemoteDebugConfig")
_RULE_LIMIT = 20


def updated(job: TrainingJob, asked: Mapping[str, Any], at_ms: int) -> TrainingJob:
    """The job with what is asked for.

    Args:
        job: before.
        asked: UpdateTrainingJob's parameters.
        at_ms: when.

    Raises:
        Fault: a ValidationException with all that is wrong, or a ResourceLimitExceeded.
    """
    if job.status != "InProgress":
        raise validation(
            "Invalid UpdateTrainingJob request: the training job must be InProgress, and "
            f"{job.name} is {job.status}."
        )
    before = merged(job.request, job.updates)
    changes = {name: asked[name] for name in _UPDATABLE if name in asked}
    if PROFILER in changes or RULES in changes:
        after = with_profiler_defaults(merged(before, changes))
        # Rules that are there are turned off with the profiler; others are not taken.
        _check(job, before, after, judged=bool(changes.get(RULES)))
        if PROFILER in after:
            changes[PROFILER] = after[PROFILER]
        if is_profiled(after):
            changes[HAS_BEEN_PROFILED] = True
        if changes.get(RULES):
            changes[ADDED_TOGETHER] = [len(changes[RULES])]
    return replace(job, updates=merged(job.updates, changes), modified_ms=at_ms)


def closed_by_update(evaluation: RuleEvaluation, job: TrainingJob) -> RuleEvaluation | None:
    """An evaluation that went on until its job was profiled no more; None where it stays."""
    if is_profiled(merged(job.request, job.updates)):
        return None
    return turned_off(evaluation, job.modified_ms)


def _check(
    job: TrainingJob, before: Mapping[str, Any], after: Mapping[str, Any], *, judged: bool
) -> None:
    taken = _names_taken(before, after)
    found = [
        *_problems(job, before, after),
        *profiler_problems(after, judged=judged),
        *(
            f"{job.name} has a rule called {name!r} already: give the new one another name."
            for name in taken
        ),
        *rule_problems(_without(taken, before, after)),
    ]
    if found:
        raise validation(" ".join(found))
    rules = len(after.get(RULES) or ())
    if rules > _RULE_LIMIT:
        raise Fault(
            "ResourceLimitExceeded",
            f"{job.name} would have {rules} rules in {RULES}, and a training job has at most "
            f"{_RULE_LIMIT}.",
        )


def _names_taken(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Names of new rules that rules of the job have."""
    known = {_name(one) for member in MEMBERS.values() for one in before.get(member) or ()}
    return sorted(known & set(map(_name, _new(before, after))))


def _without(
    taken: Sequence[str], before: Mapping[str, Any], after: Mapping[str, Any]
) -> dict[str, Any]:
    """What will be in effect, but for new rules whose names are taken."""
    new = [one for one in _new(before, after) if _name(one) not in taken]
    return {**after, RULES: [*(before.get(RULES) or ()), *new]}


def _new(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return list(after.get(RULES) or ())[len(before.get(RULES) or ()) :]


def _name(configuration: Mapping[str, Any]) -> str:
    return str(configuration["RuleConfigurationName"])


def _problems(
    job: TrainingJob, before: Mapping[str, Any], after: Mapping[str, Any]
) -> Iterator[str]:
    if job.trial is not None and lane_key(job.request, count_gpus()) is not None:
        yield (
            f"{job.name} trains beside other trials in one process, which cannot be profiled: give "
            f"all trials a {PROFILER}, as CLARY_PROFILER_CONFIG in their definition's Environment."
        )
    was = (before.get(PROFILER) or {}).get("S3OutputPath")
    now = (after.get(PROFILER) or {}).get("S3OutputPath")
    if not _has_been_profiled(job):
        return
    if was is not None and str(was).rstrip("/") != str(now).rstrip("/"):
        yield (
            f"{PROFILER}.S3OutputPath is {was} and cannot be changed to {now}: what was profiled "
            "until now is there."
        )


def _has_been_profiled(job: TrainingJob) -> bool:
    on_now = is_profiled(merged(job.request, job.updates))
    return on_now or is_profiled(job.request) or bool(job.updates.get(HAS_BEEN_PROFILED))
