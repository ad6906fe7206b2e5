"""The training jobs of a tuning job, ordinary in every way: their names and requests."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from clary.service.state.training_jobs import TrainingJob, TrialOf
from clary.service.state.tuning_jobs import TuningJob
from clary.service.supervisor.transitions import submitted
from clary.service.supervisor.tuning.definitions import Definition, resources_of

OBJECTIVE = "_tuning_objective_metric"

# Debugger and profiler of the trials: members of CreateTrainingJob that a definition has no place
# for, as JSON in its environment.
WATCHED: Mapping[str, str] = {
    "CLARY_DEBUG_HOOK_CONFIG": "DebugHookConfig",
    "CLARY_DEBUG_RULE_CONFIGURATIONS": "DebugRuleConfigurations",
    "CLARY_PROFILER_CONFIG": "ProfilerConfig",
    "CLARY_PROFILER_RULE_CONFIGURATIONS": "ProfilerRuleConfigurations",
}

# What a definition and a training job have in common.
_SHARED = (
    "AlgorithmSpecification",
    "RoleArn",
    "InputDataConfig",
    "VpcConfig",
    "OutputDataConfig",
    "StoppingCondition",
    "EnableNetworkIsolation",
    "EnableInterContainerTrafficEncryption",
    "EnableManagedSpotTraining",
    "CheckpointConfig",
    "RetryStrategy",
)


def trial_name(job: TuningJob, number: int) -> str:
    """The name of a trial's training job, the same whoever asks: `<tuning job>-004-3fbba83f`."""
    digest = hashlib.sha256(f"{job.arn} {job.created_ms} {number}".encode()).hexdigest()
    return f"{job.name}-{number:03d}-{digest[:8]}"


def trial_request(
    definition: Mapping[str, Any], objective: str, name: str, tuned: Mapping[str, str]
) -> dict[str, Any]:
    """The CreateTrainingJob of a trial.

    Args:
        definition: the training job definition, checked.
        objective: the name of the objective metric.
        name: of the training job.
        tuned: the hyperparameters that were chosen for it.
    """
    request: dict[str, Any] = {"TrainingJobName": name}
    request.update({member: definition[member] for member in _SHARED if member in definition})
    request.update(resources_of(definition))
    if "CheckpointConfig" in request:
        # A folder for each, or trials would go on from each other's checkpoints.
        checkpoints = request["CheckpointConfig"]
        uri = f"{checkpoints['S3Uri'].rstrip('/')}/{name}"
        request["CheckpointConfig"] = {**checkpoints, "S3Uri": uri}
    request["HyperParameters"] = {
        **(definition.get("StaticHyperParameters") or {}),
        **tuned,
        OBJECTIVE: json.dumps(objective),
    }
    environment = dict(definition.get("Environment") or {})
    for variable, member in WATCHED.items():
        if variable in environment:
            request[member] = json.loads(environment.pop(variable))
    if environment:
        request["Environment"] = environment
    return request


def new_trial(
    job: TuningJob, definition: Definition, number: int, tuned: Mapping[str, str], at_ms: int
) -> TrainingJob:
    """The training job of a tuning job's trial, not yet stored."""
    name = trial_name(job, number)
    arn = job.arn.rpartition(":")[0] + f":training-job/{name}"
    request = trial_request(definition.request, definition.objective, name, tuned)
    trial = TrialOf(job.name, job.arn, job.number, number, definition.name, dict(tuned))
    return submitted(name, arn, request, at_ms, trial)
