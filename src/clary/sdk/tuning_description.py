"""What the service says about a tuning job and its trials, in the words of the field.

    description = TuningJob(session, "photos-251121-143209").description()
    description.objective, description.direction, description.ranges

A trial is a training job that a tuning job has started.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from clary.formats.builtin_algorithm import METRICS, OBJECTIVES, names_image
from clary.formats.job_directory import TRIAL_NAME
from clary.sdk.description import Description
from clary.tuner.ranges import CategoricalRange, ContinuousRange, IntegerRange, Range, Space
from clary.tuner.search import Direction, Strategy
from clary.tuner.trials import Trial

TERMINAL = frozenset({"Completed", "Failed", "Stopped"})


@dataclass(frozen=True)
class TuningDescription(Description):
    """What DescribeHyperParameterTuningJob said; `raw` is all of it."""

    @property
    def name(self) -> str:
        """The tuning job's name."""
        return str(self.raw["HyperParameterTuningJobName"])

    @property
    def status(self) -> str:
        """`InProgress`, `Stopping`, `Completed`, `Failed`, `Stopped`, or one of a deletion."""
        return str(self.raw["HyperParameterTuningJobStatus"])

    @property
    def ended(self) -> bool:
        """Whether the status is final."""
        return self.status in TERMINAL

    @property
    def objective(self) -> str:
        """The name of the metric that trials are judged by."""
        return str(self._objective["MetricName"])

    @property
    def direction(self) -> Direction:
        """Which way the objective is better."""
        direction: Direction = self._objective["Type"]
        return direction

    @property
    def strategy(self) -> Strategy:
        """How combinations are chosen."""
        strategy: Strategy = self._config["Strategy"]
        return strategy

    @property
    def max_trials(self) -> int | None:
        """How many trials there will be at most; None where nothing was said."""
        return self._limits.get("MaxNumberOfTrainingJobs")

    @property
    def max_parallel(self) -> int:
        """How many trials run at once."""
        return int(self._limits["MaxParallelTrainingJobs"])

    @property
    def max_seconds(self) -> int | None:
        """How long the tuning job may take; None where nothing was said."""
        return self._limits.get("MaxRuntimeInSeconds")

    @property
    def stops_early(self) -> bool:
        """Whether trials that fall behind are stopped."""
        automatic = self._config.get("TrainingJobEarlyStoppingType") == "Auto"
        return automatic or self.strategy == "Hyperband"

    @property
    def seed(self) -> int | None:
        """The seed of the strategy; None where it was not given."""
        return self._config.get("RandomSeed")

    @property
    def target(self) -> float | None:
        """The objective at which the tuning job ends; None where nothing was said."""
        return self._criteria.get("TargetObjectiveMetricValue")

    @property
    def max_not_improving(self) -> int | None:
        """After how many trials without an improvement it ends; None where nothing was said."""
        limit = self._criteria.get("BestObjectiveNotImproving") or {}
        return limit.get("MaxNumberOfTrainingJobsNotImproving")

    @property
    def stops_on_convergence(self) -> bool:
        """Whether it ends when an improvement has become unlikely."""
        convergence = self._criteria.get("ConvergenceDetected") or {}
        return convergence.get("CompleteOnConvergence") == "Enabled"

    @property
    def seconds(self) -> float:
        """How long it has run, or ran, on the clock."""
        end = self.raw.get("HyperParameterTuningEndTime") or datetime.now(tz=self.created.tzinfo)
        return float(max(0.0, (end - self.created).total_seconds()))

    @property
    def parents(self) -> tuple[str, ...]:
        """The tuning jobs whose trials it learned from."""
        warm_start = self.raw.get("WarmStartConfig") or {}
        parents = warm_start.get("ParentHyperParameterTuningJobs") or ()
        return tuple(parent["HyperParameterTuningJobName"] for parent in parents)

    @property
    def goes_on_from(self) -> tuple[str, ...]:
        """Its parents, the latest first, where their trials count as its own; else nothing."""
        warm_start = self.raw.get("WarmStartConfig") or {}
        alike = warm_start.get("WarmStartType") == "IdenticalDataAndAlgorithm"
        return self.parents if alike else ()

    @property
    def space(self) -> Space:
        """The ranges; those of the first definition that has one, where there are several."""
        return Space(tuple(self._ranges.values()))

    @property
    def fixed(self) -> dict[str, str]:
        """The hyperparameters that all trials of the first definition share."""
        return dict(self.definition.get("StaticHyperParameters") or {})

    @property
    def environment(self) -> dict[str, str]:
        """The environment of the trials of the first definition."""
        return dict(self.definition.get("Environment") or {})

    @property
    def definition(self) -> Mapping[str, Any]:
        """What trials are made of: the definition, or the first one of several."""
        first: Mapping[str, Any] = self._definitions[0]
        return first

    @property
    def objective_pattern(self) -> str | None:
        """The expression that finds the objective in a trial's log."""
        return self._patterns.get(self.objective)

    @property
    def curve_pattern(self) -> str | None:
        """The expression that finds the objective once an epoch, and not once more at the end."""
        if self._builtin and self.objective in OBJECTIVES:
            return METRICS[self.objective.replace("_", ":")]
        return self.objective_pattern

    @property
    def _builtin(self) -> bool:
        specification = self.definition["AlgorithmSpecification"]
        return names_image(str(specification.get("TrainingImage", "")))

    @property
    def _patterns(self) -> dict[str, str]:
        definitions = self.definition["AlgorithmSpecification"].get("MetricDefinitions") or ()
        own = {definition["Name"]: definition["Regex"] for definition in definitions}
        return {**(METRICS if self._builtin else {}), **own}

    @property
    def _config(self) -> Mapping[str, Any]:
        config: Mapping[str, Any] = self.raw["HyperParameterTuningJobConfig"]
        return config

    @property
    def _criteria(self) -> Mapping[str, Any]:
        criteria: Mapping[str, Any] = self._config.get("TuningJobCompletionCriteria") or {}
        return criteria

    @property
    def _limits(self) -> Mapping[str, Any]:
        limits: Mapping[str, Any] = self._config["ResourceLimits"]
        return limits

    @property
    def _definitions(self) -> list[Any]:
        several = self.raw.get("TrainingJobDefinitions")
        return list(several) if several else [self.raw["TrainingJobDefinition"]]

    @property
    def _objective(self) -> Mapping[str, Any]:
        common = self._config.get("HyperParameterTuningJobObjective")
        objective: Mapping[str, Any] = common or self.definition["TuningObjective"]
        return objective

    @cached_property
    def _ranges(self) -> dict[str, Range]:
        found: dict[str, Range] = {}
        common = self._config.get("ParameterRanges") or {}
        for ranges in (
            common,
            *(one.get("HyperParameterRanges") or {} for one in self._definitions),
        ):
            for tuned in ranges_of(ranges):
                found.setdefault(tuned.name, tuned)
        return found


@dataclass(frozen=True)
class TrialDescription(Description):
    """What ListTrainingJobsForHyperParameterTuningJob said about a trial; `raw` is all of it.

    `position` is its place in the order of creation, from 1.
    """

    position: int

    @property
    def name(self) -> str:
        """The training job's name."""
        return str(self.raw["TrainingJobName"])

    @property
    def number(self) -> int:
        """The trial's number, from 1; its position where the name does not tell it."""
        found = TRIAL_NAME.search(self.name)
        return int(found.group(1)) if found else self.position

    @property
    def status(self) -> str:
        """`InProgress`, `Stopping`, `Completed`, `Failed` or `Stopped`."""
        return str(self.raw["TrainingJobStatus"])

    @property
    def ended(self) -> bool:
        """Whether the status is final and the objective settled."""
        return self.status in TERMINAL and self.raw.get("ObjectiveStatus") != "Pending"

    @property
    def values(self) -> dict[str, str]:
        """The tuned hyperparameters, as the training job was given them."""
        return dict(self.raw.get("TunedHyperParameters") or {})

    @property
    def objective(self) -> float | None:
        """The objective at the end; None where there is none, or not yet."""
        metric = self.raw.get("FinalHyperParameterTuningJobObjectiveMetric")
        settled = metric is not None and self.raw.get("ObjectiveStatus") == "Succeeded"
        return float(metric["Value"]) if settled and metric is not None else None

    @property
    def lacks_objective(self) -> bool:
        """Whether it has ended well and yet was never heard to say its objective."""
        return self.status == "Completed" and self.ended and self.objective is None

    @property
    def started(self) -> datetime | None:
        """When its training began."""
        return self.raw.get("TrainingStartTime")

    @property
    def ended_at(self) -> datetime | None:
        """When its training ended."""
        return self.raw.get("TrainingEndTime")

    @property
    def seconds(self) -> float | None:
        """How long its training took; None while it runs."""
        if self.started is None or self.ended_at is None:
            return None
        return max(0.0, (self.ended_at - self.started).total_seconds())

    def as_trial(self, space: Space) -> Trial | None:
        """The trial as the strategies see it; None where it was not made in this space."""
        if not set(space.names) <= set(self.values):
            return None
        values = space.from_text(self.values)
        if not self.ended:
            return Trial(self.number, values, "running")
        if self.objective is None:
            return Trial(self.number, values, "failed")
        return Trial(self.number, values, "succeeded", self.objective)


def ranges_of(ranges: Mapping[str, Any]) -> list[Range]:
    """The ranges that a request's `ParameterRanges` hold.

    Raises:
        UsageError: one of them is no range.
    """
    found: list[Range] = []
    for one in ranges.get("ContinuousParameterRanges") or ():
        bounds = float(one["MinValue"]), float(one["MaxValue"])
        found.append(ContinuousRange(one["Name"], *bounds, one.get("ScalingType", "Auto")))
    for one in ranges.get("IntegerParameterRanges") or ():
        whole = int(float(one["MinValue"])), int(float(one["MaxValue"]))
        found.append(IntegerRange(one["Name"], *whole, one.get("ScalingType", "Auto")))
    categories = ranges.get("CategoricalParameterRanges") or ()
    return [*found, *(CategoricalRange(one["Name"], tuple(one["Values"])) for one in categories)]


def parameter_ranges(space: Space) -> dict[str, list[dict[str, Any]]]:
    """A request's `ParameterRanges`."""
    kinds: dict[str, list[dict[str, Any]]] = {}
    for tuned in space.ranges:
        if isinstance(tuned, CategoricalRange):
            categories = {"Name": tuned.name, "Values": list(tuned.values)}
            kinds.setdefault("CategoricalParameterRanges", []).append(categories)
            continue
        kind = "Integer" if isinstance(tuned, IntegerRange) else "Continuous"
        bounds = {
            "Name": tuned.name,
            "MinValue": tuned.text(tuned.low),
            "MaxValue": tuned.text(tuned.high),
            "ScalingType": tuned.scaling,
        }
        kinds.setdefault(f"{kind}ParameterRanges", []).append(bounds)
    return kinds
