"""The training jobs of a tuning job, ordinary in every way: their names and requests."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from clary.formats.job_directory import TUNING_OBJECTIVE
from clary.service.requests.updates import with_profiler_defaults
from clary.service.state.training_jobs import TrainingJob, TrialOf
from clary.service.state.tuning_jobs import TuningJob
from clary.service.supervisor.transitions import submitted
from clary.service.supervisor.tuning.definitions import Definition, resources_of

# Debugger and profiler of the trials: members of CreateTrainingJob that a definition has no place
# for, as JSON in its environment. What is longer than a value there goes on in NAME_2, NAME_3, …
WATCHED: Mapping[str, str] = {
    "CLARY_DEBUG_HOOK_CONFIG": "DebugHookConfig",
    "CLARY_DEBUG_RULE_CONFIGURATIONS": "DebugRuleConfigurations",
    "CLARY_PROFILER_CONFIG": "ProfilerConfig",
    "CLARY_PROFILER_RULE_CONFIGURATIONS": "ProfilerRuleConfigurations",
}
ENVIRONMENT_VALUE_CHARACTERS = 512

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
        TUNING_OBJECTIVE: json.dumps(objective),
    }
    watched, environment = split_watched(definition.get("Environment") or {})
    request.update({WATCHED[variable]: json.loads(text) for variable, text in watched.items()})
    if environment:
        request["Environment"] = environment
    return with_profiler_defaults(request)


def split_watched(environment: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """The variables of WATCHED in an environment, each with all its text, and the other variables.

    The text of a variable NAME goes on in NAME_2, NAME_3, … up to the first that is missing.
    """
    others = dict(environment)
    watched: dict[str, str] = {}
    for variable in WATCHED:
        if variable not in others:
            continue
        pieces, name = [], variable
        while name in others:
            pieces.append(others.pop(name))
            name = f"{variable}_{len(pieces) + 1}"
        watched[variable] = "".join(pieces)
    return watched, others


def in_pieces(variable: str, text: str) -> dict[str, str]:
    """An environment from which `split_watched` reads `text`; no value of it is too long."""
    most = ENVIRONMENT_VALUE_CHARACTERS
    return {
        f"{variable}_{start // most + 1}" if start else variable: text[start : start + most]
        for start in range(0, max(len(text), 1), most)
    }


def new_trial(
    job: TuningJob, definition: Definition, number: int, tuned: Mapping[str, str], at_ms: int
) -> TrainingJob:
    """The training job of a tuning job's trial, not yet stored."""
    name = trial_name(job, number)
    arn = job.arn.rpartition(":")[0] + f":training-job/{name}"
    request = trial_request(definition.request, definition.objective, name, tuned)
    trial = TrialOf(job.name, job.arn, job.number, number, definition.name, dict(tuned))
    return submitted(name, arn, request, at_ms, trial)
