"""What Clary fills into a CreateHyperParameterTuningJob that leaves it open."""

from __future__ import annotations

import json
from collections.abc import Mapping
from math import prod
from typing import Any

from clary.formats.builtin_algorithm import METRICS, OBJECTIVES, names_image
from clary.formats.job_directory import TUNING_OBJECTIVE
from clary.service.operations.tuning_job_checks import read_watched
from clary.service.supervisor.deadlines import DEFAULT_RUNTIME_S
from clary.service.supervisor.tuning.definitions import AUTOTUNED_TRIALS


def completed_request(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The request as it is stored and shown.

    The metrics of the built-in algorithm are defined, the objective is among the static
    hyperparameters, as on AWS, and what Autotune decides is decided.

    Raises:
        Fault: debugger or profiler in a definition's environment are not what they should be.
    """
    request = dict(parameters)
    config = request["HyperParameterTuningJobConfig"] = dict(
        request["HyperParameterTuningJobConfig"]
    )
    autotunes = "Autotune" in request
    hyperband = config["Strategy"] == "Hyperband"
    config.setdefault(
        "TrainingJobEarlyStoppingType", "Auto" if autotunes and not hyperband else "Off"
    )
    limits = config["ResourceLimits"] = dict(config["ResourceLimits"])
    if config["Strategy"] == "Grid":
        limits.setdefault("MaxNumberOfTrainingJobs", _grid_size(request))
    elif autotunes:
        limits.setdefault("MaxNumberOfTrainingJobs", AUTOTUNED_TRIALS)
        converged = {"ConvergenceDetected": {"CompleteOnConvergence": "Enabled"}}
        config.setdefault("TuningJobCompletionCriteria", converged)
    outer = config.get("HyperParameterTuningJobObjective")
    if "TrainingJobDefinition" in request:
        definition = request["TrainingJobDefinition"]
        request["TrainingJobDefinition"] = _completed_definition(definition, outer)
    if "TrainingJobDefinitions" in request:
        request["TrainingJobDefinitions"] = [
            _completed_definition(one, outer) for one in request["TrainingJobDefinitions"]
        ]
    return request


def _completed_definition(
    definition: Mapping[str, Any], outer_objective: Mapping[str, Any] | None
) -> dict[str, Any]:
    completed = dict(definition)
    specification = dict(completed["AlgorithmSpecification"])
    completed["AlgorithmSpecification"] = specification
    if names_image(specification.get("TrainingImage") or ""):
        given = list(specification.get("MetricDefinitions") or ())
        names = {one["Name"] for one in given}
        specification["MetricDefinitions"] = given + [
            {"Name": name, "Regex": pattern}
            for name, pattern in {**METRICS, **OBJECTIVES}.items()
            if name not in names
        ]
    objective = completed.get("TuningObjective") or outer_objective
    if objective is not None:
        completed["StaticHyperParameters"] = {
            **(completed.get("StaticHyperParameters") or {}),
            TUNING_OBJECTIVE: json.dumps(objective["MetricName"]),
        }
    completed["StoppingCondition"] = {
        "MaxRuntimeInSeconds": DEFAULT_RUNTIME_S,
        **completed["StoppingCondition"],
    }
    if "Environment" in completed:
        completed["Environment"] = read_watched(completed["Environment"])
    return completed


def _grid_size(request: Mapping[str, Any]) -> int:
    config = request["HyperParameterTuningJobConfig"]
    definitions = request.get("TrainingJobDefinitions") or [request.get("TrainingJobDefinition")]
    all_ranges = [
        (definition or {}).get("HyperParameterRanges") or config.get("ParameterRanges") or {}
        for definition in definitions
    ]
    return sum(
        prod(len(one["Values"]) for one in ranges.get("CategoricalParameterRanges") or ())
        for ranges in all_ranges
    )
