"""A tuning job's request as its search: what is tuned, towards what, until when.

A request has one training job definition, whose ranges and objective stand in the tuning job's
configuration, or several, each with its own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from clary.errors import UsageError
from clary.service.state.tuning_jobs import TuningJob
from clary.tuner.autotune import ranges_from_hints
from clary.tuner.bounds import is_number
from clary.tuner.completion import Criteria
from clary.tuner.ranges import CategoricalRange, ContinuousRange, IntegerRange, Range, Space
from clary.tuner.search import Search

# How many trials a tuning job and its parents may have together, as on AWS.
TRIAL_LIMITS = {"Bayesian": 750, "Random": 10_000, "Grid": 750, "Hyperband": 750}
AUTOTUNED_TRIALS = 20

# Where a script's hyperparameters say how many epochs it trains, as AWS looks for it.
_EPOCHS = ("epochs", "numepochs", "n-epochs", "n_epochs", "num_epochs")


@dataclass(frozen=True)
class Definition:
    """One training job definition, read. `own_epochs` is where its jobs end by themselves."""

    name: str | None
    request: Mapping[str, Any]
    objective: str
    search: Search
    own_epochs: int | None


def definition_requests(request: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """The HyperParameterTrainingJobDefinitions of a request, one or several."""
    single = request.get("TrainingJobDefinition")
    return [single] if single is not None else request.get("TrainingJobDefinitions") or []


def resources_of(definition: Mapping[str, Any]) -> dict[str, Any]:
    """The member ResourceConfig of a definition's training jobs; nothing where there is none.

    Of several kinds of instances in HyperParameterTuningResourceConfig it is the first, which is
    preferred.
    """
    if "ResourceConfig" in definition:
        return {"ResourceConfig": definition["ResourceConfig"]}
    flexible = definition.get("HyperParameterTuningResourceConfig")
    if flexible is None:
        return {}
    chosen = (flexible.get("InstanceConfigs") or [{}])[0]
    merged = {**flexible, **chosen}
    for member in ("InstanceConfigs", "AllocationStrategy"):
        merged.pop(member, None)
    return {"ResourceConfig": merged}


def objective_of(request: Mapping[str, Any], definition: Mapping[str, Any]) -> Mapping[str, Any]:
    """The HyperParameterTuningJobObjective of a definition.

    Raises:
        UsageError: there is none.
    """
    config = request["HyperParameterTuningJobConfig"]
    objective: Mapping[str, Any] | None = definition.get("TuningObjective") or config.get(
        "HyperParameterTuningJobObjective"
    )
    if objective is None:
        raise UsageError(
            "An objective metric is missing: give HyperParameterTuningJobObjective, or a "
            "TuningObjective in each of TrainingJobDefinitions."
        )
    return objective


def ranges_of(request: Mapping[str, Any], definition: Mapping[str, Any]) -> tuple[Range, ...]:
    """The ranges of a definition, those chosen by hints included.

    Raises:
        UsageError: a bound is no number, a range is empty, or its scaling does not fit.
    """
    config = request["HyperParameterTuningJobConfig"]
    asked = definition.get("HyperParameterRanges") or config.get("ParameterRanges") or {}
    hints = {one["Name"]: one["ValueHint"] for one in asked.get("AutoParameters") or ()}
    return (
        *(_continuous(one) for one in asked.get("ContinuousParameterRanges") or ()),
        *(_integer(one) for one in asked.get("IntegerParameterRanges") or ()),
        *(
            CategoricalRange(one["Name"], tuple(one["Values"]))
            for one in asked.get("CategoricalParameterRanges") or ()
        ),
        *ranges_from_hints(hints),
    )


def read_definitions(request: Mapping[str, Any], seed: int) -> tuple[Definition, ...]:
    """The definitions of a request, each with its search.

    Raises:
        UsageError: a range or the strategy's configuration cannot be used.
    """
    found = definition_requests(request)
    return tuple(_read_definition(request, one, seed, alone=len(found) == 1) for one in found)


def read_criteria(request: Mapping[str, Any], definitions: Sequence[Definition]) -> Criteria:
    """When a tuning job ends; a grid when all its combinations have been tried.

    Raises:
        UsageError: a criterion cannot be used.
    """
    config = request["HyperParameterTuningJobConfig"]
    limits = config["ResourceLimits"]
    asked = config.get("TuningJobCompletionCriteria") or {}
    convergence = asked.get("ConvergenceDetected") or {}
    sizes = [definition.search.space.size for definition in definitions]
    most = limits.get("MaxNumberOfTrainingJobs")
    if most is None and config["Strategy"] == "Grid":
        most = sum(size for size in sizes if size is not None)
    return Criteria(
        max_trials=most or TRIAL_LIMITS[config["Strategy"]],
        max_seconds=limits.get("MaxRuntimeInSeconds"),
        target=asked.get("TargetObjectiveMetricValue"),
        max_not_improving=(asked.get("BestObjectiveNotImproving") or {}).get(
            "MaxNumberOfTrainingJobsNotImproving"
        ),
        on_convergence=convergence.get("CompleteOnConvergence") == "Enabled",
    )


def seed_of(job: TuningJob) -> int:
    """The seed of a tuning job: RandomSeed, or one that stays the same for this job."""
    asked: int | None = job.request["HyperParameterTuningJobConfig"].get("RandomSeed")
    if asked is not None:
        return asked
    digest = hashlib.sha256(f"{job.arn} {job.created_ms}".encode()).digest()
    return int.from_bytes(digest[:4], "big")


def _read_definition(
    request: Mapping[str, Any], definition: Mapping[str, Any], seed: int, *, alone: bool
) -> Definition:
    config = request["HyperParameterTuningJobConfig"]
    strategy = config["Strategy"]
    own_epochs = static_epochs(definition)
    objective = objective_of(request, definition)
    low = high = None
    if strategy == "Hyperband":
        resources = (config.get("StrategyConfig") or {}).get("HyperbandStrategyConfig") or {}
        low, high = resources.get("MinResource"), resources.get("MaxResource", own_epochs)
    search = Search(
        space=Space(ranges_of(request, definition)),
        strategy=strategy,
        direction=objective["Type"],
        seed=seed if alone else _own_seed(seed, definition),
        max_trials=config["ResourceLimits"].get("MaxNumberOfTrainingJobs") if alone else None,
        min_resource=low,
        max_resource=high,
        transfer=_transfers(request),
    )
    return Definition(
        definition.get("DefinitionName"), definition, objective["MetricName"], search, own_epochs
    )


def _own_seed(seed: int, definition: Mapping[str, Any]) -> int:
    """The seed of one of several definitions: each counts its own trials, and draws its own."""
    digest = hashlib.sha256(f"{seed} {definition.get('DefinitionName')}".encode()).digest()
    return int.from_bytes(digest[:4], "big")


def _transfers(request: Mapping[str, Any]) -> bool:
    return (request.get("WarmStartConfig") or {}).get("WarmStartType") == "TransferLearning"


def static_epochs(definition: Mapping[str, Any]) -> int | None:
    """How many epochs the jobs of a definition train, by a hyperparameter that is fixed."""
    static = definition.get("StaticHyperParameters") or {}
    for name in _EPOCHS:
        text = static.get(name, "").strip().strip('"')
        if text.isascii() and text.isdigit() and int(text):
            return int(text)
    return None


def _continuous(asked: Mapping[str, Any]) -> ContinuousRange:
    bounds = _number(asked, "MinValue"), _number(asked, "MaxValue")
    return ContinuousRange(asked["Name"], *bounds, asked.get("ScalingType", "Auto"))


def _integer(asked: Mapping[str, Any]) -> IntegerRange:
    bounds = _whole(asked, "MinValue"), _whole(asked, "MaxValue")
    return IntegerRange(asked["Name"], *bounds, asked.get("ScalingType", "Auto"))


def _number(asked: Mapping[str, Any], bound: str) -> float:
    if not is_number(asked[bound]):
        raise UsageError(
            f"{bound} of the range of {asked['Name']} is {asked[bound]!r}, which is no number: "
            "write one such as 0.001"
        )
    return float(asked[bound])


def _whole(asked: Mapping[str, Any], bound: str) -> int:
    number = _number(asked, bound)
    if number % 1 or abs(number) == float("inf"):
        raise UsageError(
            f"{bound} of the range of {asked['Name']} is {asked[bound]!r}, which is no whole "
            "number: round it, or make the range continuous"
        )
    return int(number)
