"""What CreateHyperParameterTuningJob forbids beyond the service model."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from clary.errors import UsageError
from clary.formats.job_directory import TUNING_OBJECTIVE
from clary.service.faults import Fault, constraint_violations, validation
from clary.service.operations.training_job_checks import problems
from clary.service.protocol.json_values import read_tree
from clary.service.protocol.malformed import Malformed
from clary.service.protocol.models import service_model
from clary.service.protocol.validation import validate
from clary.service.supervisor.tuning.children import (
    ENVIRONMENT_VALUE_CHARACTERS,
    WATCHED,
    in_pieces,
    split_watched,
    trial_request,
)
from clary.service.supervisor.tuning.definitions import (
    TRIAL_LIMITS,
    Definition,
    definition_requests,
    objective_of,
    ranges_of,
    read_criteria,
    read_definitions,
    static_epochs,
)
from clary.tuner.search import MAX_RESOURCE

PARALLEL_LIMIT = 100
HYPERPARAMETER_LIMIT = 100


def check_tuning_request(request: Mapping[str, Any]) -> tuple[Definition, ...]:
    """Refuse a request that cannot become a tuning job, with all that is wrong with it.

    Args:
        request: CreateHyperParameterTuningJob's, with what Clary fills in.

    Returns:
        The training job definitions, read.

    Raises:
        Fault: a ValidationException, or a ResourceLimitExceeded.
    """
    found = [*_definitions(request), *_configuration(request)]
    if not found:
        for definition in definition_requests(request):
            found += _definition(request, definition)
    definitions: tuple[Definition, ...] = ()
    found = found or [*_hyperband(request)]
    if not found:
        try:
            definitions = read_definitions(request, seed=0)
            read_criteria(request, definitions)
        except UsageError as error:
            found = [sentence(error)]
    if found:
        raise validation(" ".join(found))
    _limits(request, definitions)
    return definitions


def sentence(error: UsageError) -> str:
    """A refusal of the tuner as the service says it."""
    text = str(error)
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")


def _definitions(request: Mapping[str, Any]) -> Iterator[str]:
    config = request["HyperParameterTuningJobConfig"]
    several = request.get("TrainingJobDefinitions")
    if ("TrainingJobDefinition" in request) == (several is not None):
        yield "Exactly one of TrainingJobDefinition and TrainingJobDefinitions must be given."
        return
    if several is None:
        definition = request["TrainingJobDefinition"]
        for inner, outer in (
            ("HyperParameterRanges", "ParameterRanges"),
            ("TuningObjective", "HyperParameterTuningJobObjective"),
        ):
            if inner in definition and outer in config:
                yield f"Both {inner} and {outer} are given: exactly one of them is allowed."
        return
    for outer, inner in (
        ("ParameterRanges", "HyperParameterRanges"),
        ("HyperParameterTuningJobObjective", "TuningObjective"),
    ):
        if outer in config:
            yield (
                f"{outer} is not allowed with TrainingJobDefinitions: give {inner} in each of them."
            )
    names = [definition.get("DefinitionName") for definition in several]
    if None in names:
        yield "Each of TrainingJobDefinitions must have a DefinitionName."
    for name in sorted({name for name in names if name and names.count(name) > 1}):
        yield f"DefinitionName {name!r} is given twice."
    if any("TuningObjective" not in definition for definition in several):
        yield "Each of TrainingJobDefinitions must have a TuningObjective."
    elif len({definition["TuningObjective"]["Type"] for definition in several}) > 1:
        yield "The TuningObjective of all TrainingJobDefinitions must be of the same Type."


def _configuration(request: Mapping[str, Any]) -> Iterator[str]:
    config = request["HyperParameterTuningJobConfig"]
    strategy, limits = config["Strategy"], config["ResourceLimits"]
    if "StrategyConfig" in config and strategy != "Hyperband":
        yield f"StrategyConfig is only allowed with the strategy Hyperband, not with {strategy}."
    if strategy == "Hyperband" and config.get("TrainingJobEarlyStoppingType", "Off") != "Off":
        yield (
            "TrainingJobEarlyStoppingType must be Off for the strategy Hyperband, which has its "
            "own early stopping."
        )
    ends = ("MaxNumberOfTrainingJobs", "MaxRuntimeInSeconds")
    criteria = config.get("TuningJobCompletionCriteria")
    if strategy != "Grid" and not criteria and not any(name in limits for name in ends):
        yield "MaxNumberOfTrainingJobs must be set in ResourceLimits."
    hinted = any(
        (ranges or {}).get("AutoParameters")
        for ranges in (
            config.get("ParameterRanges"),
            *(one.get("HyperParameterRanges") for one in definition_requests(request)),
        )
    )
    if hinted and "Autotune" not in request:
        yield "AutoParameters are only allowed with Autotune: set its Mode to Enabled."
    parents = [
        one.get("HyperParameterTuningJobName")
        for one in (request.get("WarmStartConfig") or {}).get("ParentHyperParameterTuningJobs", ())
    ]
    if None in parents:
        yield "Each of ParentHyperParameterTuningJobs must have a HyperParameterTuningJobName."
    for name in sorted({name for name in parents if name and parents.count(name) > 1}):
        yield f"The parent hyperparameter tuning job {name} is given twice."


def _definition(request: Mapping[str, Any], definition: Mapping[str, Any]) -> list[str]:
    try:
        objective = objective_of(request, definition)
        ranges = ranges_of(request, definition)
    except UsageError as error:
        return [sentence(error)]
    found = [*_objective(definition, objective["MetricName"])]
    static = {
        name for name in definition.get("StaticHyperParameters") or {} if name != TUNING_OBJECTIVE
    }
    tuned = [one.name for one in ranges]
    for name in tuned:
        if name == TUNING_OBJECTIVE:
            found.append(f"{TUNING_OBJECTIVE} is set by the tuning job and cannot be tuned.")
        elif name in static:
            found.append(f"The hyperparameter {name!r} has a range and a static value: keep one.")
    count = len(static) + len(tuned) + 1
    if count > HYPERPARAMETER_LIMIT:
        found.append(
            f"A training job would have {count} hyperparameters, {TUNING_OBJECTIVE} among them, "
            f"and {HYPERPARAMETER_LIMIT} are allowed."
        )
    flexible = definition.get("HyperParameterTuningResourceConfig")
    if flexible is not None:
        found += _flexible_resources(definition, flexible)
    return found or [*_trial(definition, objective["MetricName"], tuned)]


def _objective(definition: Mapping[str, Any], metric: str) -> Iterator[str]:
    specification = definition["AlgorithmSpecification"]
    names = [one["Name"] for one in specification.get("MetricDefinitions") or ()]
    if not names:
        yield (
            "A metric is required for this hyperparameter tuning job objective. Provide a metric "
            "in the metric definitions."
        )
    elif metric not in names:
        yield (
            f"The objective metric for the hyperparameter tuning job, [{metric}], isn't in the "
            f"metric definitions. Choose one of [{', '.join(names)}], or define it."
        )


def _flexible_resources(
    definition: Mapping[str, Any], flexible: Mapping[str, Any]
) -> Iterator[str]:
    if "ResourceConfig" in definition:
        yield (
            "Both ResourceConfig and HyperParameterTuningResourceConfig are set: exactly one of "
            "them is allowed."
        )
    given = [
        name for name in ("InstanceType", "InstanceCount", "VolumeSizeInGB") if name in flexible
    ]
    if "InstanceConfigs" in flexible and given:
        yield f"InstanceConfigs excludes {given[0]} in HyperParameterTuningResourceConfig."


def _hyperband(request: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with the epochs that Hyperband divides, by the names of the request."""
    config = request["HyperParameterTuningJobConfig"]
    if config["Strategy"] != "Hyperband":
        return
    asked = (config.get("StrategyConfig") or {}).get("HyperbandStrategyConfig") or {}
    for definition in definition_requests(request):
        low, high = asked.get("MinResource", 1), asked.get("MaxResource")
        source = "MaxResource"
        if high is None:
            high, source = static_epochs(definition), "the static hyperparameter for epochs"
        if high is None:
            yield (
                "Hyperband needs to know how many epochs a training job has at most: set "
                "StrategyConfig.HyperbandStrategyConfig.MaxResource, or a static hyperparameter "
                "epochs."
            )
        elif not low <= high <= MAX_RESOURCE:
            yield (
                f"Hyperband has epochs from {low} to {high}: MinResource must be at most {source}, "
                f"which must be at most {MAX_RESOURCE}."
            )
        else:
            continue
        return


def _trial(definition: Mapping[str, Any], metric: str, tuned: Sequence[str]) -> Iterator[str]:
    """What would be wrong with each trial's CreateTrainingJob."""
    trial = trial_request(definition, metric, "trial", dict.fromkeys(tuned, "0"))
    try:
        validate("sagemaker", _create_training_job(), trial)
    except Fault as fault:
        yield fault.message
        return
    yield from problems(trial)


def read_watched(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment of a definition, its debugger and profiler in the service model's form.

    Raises:
        Fault: one of them is no JSON, or not what the model says, or a part of it is missing.
    """
    members = _create_training_job().input_shape.members
    watched, read = split_watched(environment)
    for name in read:
        variable, _, number = name.rpartition("_")
        if variable in WATCHED and number.isascii() and number.isdigit():
            raise _not_watched(name, read[name], f"follow {variable}, {variable}_2, … without gap")
    for variable, text in watched.items():
        member = WATCHED[variable]
        try:
            tree = read_tree(members[member], json.loads(text))
        except (ValueError, Malformed) as error:
            raise _not_watched(
                variable,
                text,
                f"be {member} as JSON ({error}); what is longer than "
                f"{ENVIRONMENT_VALUE_CHARACTERS} characters goes on in {variable}_2, "
                f"{variable}_3, …",
            ) from error
        compact = json.dumps(tree, ensure_ascii=False, separators=(",", ":"))
        read.update(in_pieces(variable, compact))
    return read


def _not_watched(variable: str, text: str, constraint: str) -> Fault:
    return constraint_violations(
        [
            f"Value '{text[:ENVIRONMENT_VALUE_CHARACTERS]}' at 'environment.{variable}' failed to "
            f"satisfy constraint: Member must {constraint}"
        ]
    )


def _limits(request: Mapping[str, Any], definitions: Sequence[Definition]) -> None:
    config = request["HyperParameterTuningJobConfig"]
    parallel = config["ResourceLimits"]["MaxParallelTrainingJobs"]
    if parallel > PARALLEL_LIMIT:
        raise limit_exceeded(
            "Maximum number of parallel training jobs per hyperparameter tuning job",
            PARALLEL_LIMIT,
            parallel,
            "lower MaxParallelTrainingJobs",
        )
    asked = read_criteria(request, definitions).max_trials
    most = TRIAL_LIMITS[config["Strategy"]]
    if asked is not None and asked > most:
        raise limit_exceeded(
            "Maximum number of training jobs per hyperparameter tuning job",
            most,
            asked,
            "lower MaxNumberOfTrainingJobs",
        )


def limit_exceeded(limit: str, allowed: int, asked: int, remedy: str) -> Fault:
    """A request for more than a tuning job may have."""
    return Fault(
        "ResourceLimitExceeded",
        f"The account-level service limit '{limit}' is {allowed}, and {asked} are asked for: "
        f"{remedy}.",
    )


def _create_training_job() -> Any:
    return service_model("sagemaker").operation_model("CreateTrainingJob")
