"""Tuning jobs and their trials as the API shows them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from clary import clock
from clary.service.operations.times import timestamp
from clary.service.state.state import State
from clary.service.state.trials import TrialSummary
from clary.service.state.tuning_jobs import TuningJob
from clary.service.supervisor.tuning.definitions import (
    definition_requests,
    objective_of,
    resources_of,
)
from clary.service.supervisor.tuning.observing import (
    TRIAL_STATES,
    ObjectiveStatus,
    objective_status,
    objective_value,
)
from clary.tuner.best import best
from clary.tuner.completion import not_improving
from clary.tuner.trials import Direction, Trial

_INTERNAL = "InternalServerError"


class Objective(NamedTuple):
    """What a training job is judged by."""

    metric: str
    direction: Direction


def objectives_of(job: TuningJob) -> dict[str | None, Objective]:
    """The objective of each training job definition, by its name."""
    found = {}
    for definition in definition_requests(job.request):
        objective = objective_of(job.request, definition)
        found[definition.get("DefinitionName")] = Objective(
            objective["MetricName"], objective["Type"]
        )
    return found


# What a description says of the trials, which are many.
OF_TRIALS = frozenset(
    {
        "TrainingJobStatusCounters",
        "ObjectiveStatusCounters",
        "BestTrainingJob",
        "OverallBestTrainingJob",
        "TuningJobCompletionDetails",
    }
)


def description(state: State, job: TuningJob) -> dict[str, Any]:
    """A tuning job as DescribeHyperParameterTuningJob answers.

    Raises:
        StorageError: the database cannot be read.
    """
    return {**description_without_trials(job), **description_of_trials(state, job)}


def description_without_trials(job: TuningJob) -> dict[str, Any]:
    """What can be said of a tuning job by itself."""
    described: dict[str, Any] = {
        **_request(job.request),
        **_identity(job),
        "ConsumedResources": {
            "RuntimeInSeconds": math.ceil(
                ((job.ended_ms or clock.now_ms()) - job.created_ms) / 1000
            )
        },
    }
    if job.status == "Failed" and job.failure is not None:
        described["FailureReason"] = job.failure
    return described


def description_of_trials(state: State, job: TuningJob) -> dict[str, Any]:
    """The members OF_TRIALS of a tuning job's description.

    Raises:
        StorageError: the database cannot be read.
    """
    objectives = objectives_of(job)
    trials = state.trials.of(job.number)
    described: dict[str, Any] = {
        **_counters(trials, objectives),
        "TuningJobCompletionDetails": _completion_details(job, trials, objectives),
    }
    winner = _best(trials, objectives)
    if winner is not None:
        described["BestTrainingJob"] = trial_summary(winner, objectives)
    warm_start = job.request.get("WarmStartConfig")
    if warm_start is not None and warm_start["WarmStartType"] == "IdenticalDataAndAlgorithm":
        # The objective is the same in all parents.
        all_trials = [*trials]
        for parent in job.parents:
            all_trials += state.trials.of(parent)
        overall = _best(all_trials, objectives)
        if overall is not None:
            described["OverallBestTrainingJob"] = {
                **trial_summary(overall, objectives),
                "TuningJobName": overall.trial.tuning_job,
            }
    return described


def summary(state: State, job: TuningJob) -> dict[str, Any]:
    """A tuning job as ListHyperParameterTuningJobs answers.

    Raises:
        StorageError: the database cannot be read.
    """
    config = job.request["HyperParameterTuningJobConfig"]
    trials = state.trials.of(job.number)
    return {
        **_identity(job),
        **_counters(trials, objectives_of(job)),
        "Strategy": config["Strategy"],
        "ResourceLimits": config["ResourceLimits"],
    }


def trial_summary(job: TrialSummary, objectives: Mapping[str | None, Objective]) -> dict[str, Any]:
    """A trial as ListTrainingJobsForHyperParameterTuningJob answers."""
    objective = _objective(job, objectives)
    shown: dict[str, Any] = {
        "TrainingJobName": job.name,
        "TrainingJobArn": job.arn,
        "CreationTime": timestamp(job.created_ms),
        "TrainingJobStatus": job.status,
        "TunedHyperParameters": dict(job.trial.tuned),
        "ObjectiveStatus": objective_status(job, objective.metric),
    }
    if job.trial.definition is not None:
        shown["TrainingJobDefinitionName"] = job.trial.definition
    if job.started_ms is not None:
        shown["TrainingStartTime"] = timestamp(job.started_ms)
    if job.ended_ms is not None and not job.active:
        shown["TrainingEndTime"] = timestamp(job.ended_ms)
    if job.status == "Failed" and job.failure is not None:
        shown["FailureReason"] = job.failure
    value = objective_value(job, objective.metric)
    if value is not None:
        shown["FinalHyperParameterTuningJobObjectiveMetric"] = {
            "Type": objective.direction,
            "MetricName": objective.metric,
            "Value": value,
        }
    return shown


def _request(request: Mapping[str, Any]) -> dict[str, Any]:
    """The request without its tags; definitions say their ResourceConfig in any case.

    The SageMaker SDK gives HyperParameterTuningResourceConfig, and `HyperparameterTuner.attach`
    reads ResourceConfig.
    """
    shown = {name: value for name, value in request.items() if name != "Tags"}
    definitions = [
        {**definition, **resources_of(definition)} for definition in definition_requests(request)
    ]
    if "TrainingJobDefinition" in request:
        shown["TrainingJobDefinition"] = definitions[0]
    elif definitions:
        shown["TrainingJobDefinitions"] = definitions
    return shown


def _identity(job: TuningJob) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "HyperParameterTuningJobName": job.name,
        "HyperParameterTuningJobArn": job.arn,
        "HyperParameterTuningJobStatus": job.status,
        "CreationTime": timestamp(job.created_ms),
        "LastModifiedTime": timestamp(job.modified_ms),
    }
    if job.ended_ms is not None:
        shown["HyperParameterTuningEndTime"] = timestamp(job.ended_ms)
    return shown


def _counters(
    trials: Sequence[TrialSummary], objectives: Mapping[str | None, Objective]
) -> dict[str, Any]:
    states = Counter(_counted_as(trial) for trial in trials)
    ends = Counter(objective_status(one, _objective(one, objectives).metric) for one in trials)
    end_names: tuple[ObjectiveStatus, ...] = ("Succeeded", "Pending", "Failed")
    return {
        "TrainingJobStatusCounters": {
            name: states[name]
            for name in (
                "Completed",
                "InProgress",
                "RetryableError",
                "NonRetryableError",
                "Stopped",
            )
        },
        "ObjectiveStatusCounters": {name: ends[name] for name in end_names},
    }


def _counted_as(job: TrialSummary) -> str:
    if job.status in {"InProgress", "Stopping"}:
        return "InProgress"
    if job.secondary == "Failed":
        internal = (job.failure or "").startswith(_INTERNAL)
        return "RetryableError" if internal else "NonRetryableError"
    return "Completed" if job.secondary == "Completed" else "Stopped"


def _objective(job: TrialSummary, objectives: Mapping[str | None, Objective]) -> Objective:
    """What a trial is judged by; a parent's, too, whose definition may have another name."""
    alone = next(iter(objectives.values()))
    return alone if len(objectives) == 1 else objectives.get(job.trial.definition, alone)


def _best(
    trials: Iterable[TrialSummary], objectives: Mapping[str | None, Objective]
) -> TrialSummary | None:
    jobs = list(trials)
    direction = next(iter(objectives.values())).direction
    winner = best(_as_trials(jobs, objectives), direction)
    return None if winner is None else jobs[winner.number - 1]


def _completion_details(
    job: TuningJob, trials: Sequence[TrialSummary], objectives: Mapping[str | None, Objective]
) -> dict[str, Any]:
    direction = next(iter(objectives.values())).direction
    in_vain = not_improving(direction, _as_trials(trials, objectives))
    details: dict[str, Any] = {"NumberOfTrainingJobsObjectiveNotImproving": in_vain}
    if job.completion is not None and job.completion.reason == "converged":
        details["ConvergenceDetectedTime"] = timestamp(job.completion.at_ms)
    return details


def _as_trials(
    jobs: Sequence[TrialSummary], objectives: Mapping[str | None, Objective]
) -> list[Trial]:
    """The jobs as the tuner's trials, numbered by their places; who won needs no parameters."""
    trials = []
    for place, job in enumerate(jobs, 1):
        metric = _objective(job, objectives).metric
        state = TRIAL_STATES[objective_status(job, metric)]
        trials.append(Trial(place, {}, state, objective_value(job, metric)))
    return trials
