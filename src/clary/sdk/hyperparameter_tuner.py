"""A search for better hyperparameters as a description that can be started, in SageMaker's words.

    estimator = Estimator(session, entry_point="train.py", metrics={"loss": r"loss=(\\S+)"})
    tuner = HyperparameterTuner(
        estimator, "loss", ["lr=1e-4..1e-1:log", "batch-size=32,64"], direction="Minimize"
    )
    job = tuner.fit("photos/")
    print(job.best_training_job().name, job.best_hyperparameters())

The same against Clary and AWS.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from clary.errors import ServiceError, UsageError
from clary.formats.builtin_algorithm import METRICS, names_image
from clary.sdk.estimator import Estimator
from clary.sdk.objective_search import require_objective
from clary.sdk.session import Session, spoken_faults
from clary.sdk.tuning_description import TrialDescription, parameter_ranges
from clary.sdk.tuning_job import TuningJob
from clary.tuner.completion import Criteria
from clary.tuner.ranges import Range, Space, parse_range
from clary.tuner.search import Direction, Search, Strategy

NAME_LIMIT = 32  # SageMaker's for HyperParameterTuningJobName
TUNING_NAME = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,31}")
PARENT_LIMIT = 5
MIN_RUN_SECONDS, MAX_RUN_SECONDS = 120, 15_768_000

WarmStartType = Literal["IdenticalDataAndAlgorithm", "TransferLearning"]


@dataclass(frozen=True)
class WarmStart:
    """Earlier tuning jobs to learn from, 1 to 5: on the same data and algorithm, or on others.

    Raises:
        UsageError: there are no parents, or more than five.
    """

    parents: tuple[str, ...]
    kind: WarmStartType = "IdenticalDataAndAlgorithm"

    def __post_init__(self) -> None:
        if not 1 <= len(self.parents) <= PARENT_LIMIT:
            raise UsageError(
                f"a warm start from {len(self.parents)} tuning jobs is not possible: name 1 to "
                f"{PARENT_LIMIT}"
            )


@dataclass(frozen=True)
class HyperparameterTuner:
    """What to search, and how.

    Args:
        estimator: what each trial trains with; its hyperparameters are fixed, but for tuned ones.
        objective: the name of a metric of the estimator.
        ranges: of the tuned hyperparameters, as objects of `clary.tuner.ranges` or as text, such
            as `lr=1e-4..1e-1:log`, `epochs=2..10` and `batch-size=32,64`.
        direction: which way the objective is better.
        strategy: how combinations are chosen.
        max_jobs: how many trials; None where a grid or another criterion ends the search.
        max_parallel_jobs: how many at once.
        early_stopping: stop trials that fall behind the median of the others.
        seed: of the strategy, at least 0; a different one each time when None.
        max_run_seconds: ends the search, 120 at least.
        target: an objective that is good enough.
        max_jobs_not_improving: ends the search after so many trials without an improvement.
        stop_on_convergence: end when an improvement has become unlikely.
        min_epochs, max_epochs: for Hyperband: before the first no trial is stopped, and a trial
            takes the second at most, counted in emissions of the objective.
        warm_start: earlier tuning jobs to learn from.

    Raises:
        UsageError: a range is none, the strategy does not fit the ranges, or the objective is no
            metric of the estimator.
    """

    estimator: Estimator
    objective: str
    ranges: Sequence[Range | str]
    direction: Direction = "Maximize"
    strategy: Strategy = "Bayesian"
    max_jobs: int | None = 20
    max_parallel_jobs: int = 1
    early_stopping: bool = False
    seed: int | None = None
    max_run_seconds: int | None = None
    target: float | None = None
    max_jobs_not_improving: int | None = None
    stop_on_convergence: bool = False
    min_epochs: int | None = None
    max_epochs: int | None = None
    warm_start: WarmStart | None = None

    def __post_init__(self) -> None:
        # The service asks the same again; here it is found before anything is uploaded.
        Search(
            self.space,
            self.strategy,
            self.direction,
            seed=0,
            max_trials=self.max_jobs,
            min_resource=self.min_epochs,
            max_resource=self.max_epochs,
        )
        Criteria(
            self.max_jobs,
            self.max_run_seconds,
            self.target,
            self.max_jobs_not_improving,
            self.stop_on_convergence,
        )
        if self.max_parallel_jobs < 1:
            raise UsageError(
                f"max_parallel_jobs is {self.max_parallel_jobs} but must be at least 1"
            )
        limit = self.max_run_seconds
        if limit is not None and not MIN_RUN_SECONDS <= limit <= MAX_RUN_SECONDS:
            raise UsageError(
                f"max_run_seconds is {limit} but must be {MIN_RUN_SECONDS} to {MAX_RUN_SECONDS}"
            )
        if self.strategy == "Hyperband" and self.early_stopping:
            raise UsageError(
                "Hyperband stops trials by a rule of its own: leave early_stopping out"
            )
        known = {
            **(METRICS if names_image(self.estimator.image) else {}),
            **self.estimator.metrics,
        }
        if self.objective not in known:
            raise UsageError(
                f"the objective {self.objective!r} is no metric of the estimator: give it metrics "
                f"with an expression of that name, or name one of {', '.join(known) or 'them'}"
            )

    @cached_property
    def space(self) -> Space:
        """What is searched.

        Raises:
            UsageError: a range is none, or two have the same name.
        """
        return Space(
            tuple(parse_range(one) if isinstance(one, str) else one for one in self.ranges)
        )

    def fit(
        self,
        inputs: str | Path | Mapping[str, str | Path] | None = None,
        *,
        name: str | None = None,
        wait: bool = True,
        progress: bool = True,
    ) -> TuningJob:
        """Start a tuning job.

        Args:
            inputs: as for `Estimator.fit`.
            name: at most 32 letters, digits and inner hyphens; made of the image and the time.
            wait: return when the job has ended.
            progress: print a line for each trial that ends meanwhile.

        Returns:
            The tuning job.

        Raises:
            UsageError: a script is missing, the name is taken or not allowed, or a folder is
                given to AWS.
            DataError: there is no such folder.
            ServiceError: the service refuses the job, it did not end well, or the first trial
                never said its objective, whereupon the job was stopped.
        """
        chosen = name or made_up_tuning_name(self.estimator.entry_point or self.estimator.image)
        job = start_tuning_job(self.estimator.session, self.request(inputs, chosen))
        if wait:
            for trial in job.ended_trials():
                require_objective(job, trial)
                if progress:
                    print(_line(trial), flush=True)
            found = job.description()
            if found.status != "Completed":
                raise ServiceError(
                    f"the tuning job {job.name} ended as {found.status}"
                    f"{f': {found.failure_reason}' if found.failure_reason else ''}"
                )
        return job

    @staticmethod
    def attach(session: Session, name: str) -> TuningJob:
        """A tuning job that was started before.

        Raises:
            UsageError: there is no such tuning job.
            ServiceError: the service refuses or does not answer.
        """
        job = TuningJob(session, name)
        job.description()
        return job

    def request(
        self, inputs: str | Path | Mapping[str, str | Path] | None, name: str
    ) -> dict[str, Any]:
        """CreateHyperParameterTuningJob's parameters; uploads the scripts.

        Raises:
            UsageError: a script is missing, the name is not allowed, or a folder is given to AWS.
            DataError: there is no such folder.
            ServiceError: the scripts cannot be uploaded.
        """
        if not TUNING_NAME.fullmatch(name):
            raise UsageError(
                f"the tuning job's name is {name!r} but must be 1 to {NAME_LIMIT} letters, digits "
                "and inner hyphens"
            )
        definition = self.estimator.request(inputs, name)
        del definition["TrainingJobName"]
        hyperparameters = definition.pop("HyperParameters")
        definition["StaticHyperParameters"] = {
            key: value for key, value in hyperparameters.items() if key not in self.space.names
        }
        request: dict[str, Any] = {
            "HyperParameterTuningJobName": name,
            "HyperParameterTuningJobConfig": self._config(),
            "TrainingJobDefinition": definition,
        }
        if self.warm_start is not None:
            request["WarmStartConfig"] = {
                "ParentHyperParameterTuningJobs": [
                    {"HyperParameterTuningJobName": parent} for parent in self.warm_start.parents
                ],
                "WarmStartType": self.warm_start.kind,
            }
        return request

    def _config(self) -> dict[str, Any]:
        limits = {
            "MaxNumberOfTrainingJobs": self.max_jobs,
            "MaxParallelTrainingJobs": self.max_parallel_jobs,
            "MaxRuntimeInSeconds": self.max_run_seconds,
        }
        config: dict[str, Any] = {
            "Strategy": self.strategy,
            "HyperParameterTuningJobObjective": {
                "Type": self.direction,
                "MetricName": self.objective,
            },
            "ResourceLimits": {key: value for key, value in limits.items() if value is not None},
            "ParameterRanges": parameter_ranges(self.space),
            "TrainingJobEarlyStoppingType": "Auto" if self.early_stopping else "Off",
            # A seed of one's own choice can be told afterwards, and the search be done again.
            "RandomSeed": random.randrange(2**31) if self.seed is None else self.seed,
        }
        resources = {"MinResource": self.min_epochs, "MaxResource": self.max_epochs}
        given = {key: value for key, value in resources.items() if value is not None}
        if given:
            config["StrategyConfig"] = {"HyperbandStrategyConfig": given}
        criteria = self._criteria()
        if criteria:
            config["TuningJobCompletionCriteria"] = criteria
        return config

    def _criteria(self) -> dict[str, Any]:
        criteria: dict[str, Any] = {}
        if self.target is not None:
            criteria["TargetObjectiveMetricValue"] = self.target
        if self.max_jobs_not_improving is not None:
            limit = {"MaxNumberOfTrainingJobsNotImproving": self.max_jobs_not_improving}
            criteria["BestObjectiveNotImproving"] = limit
        if self.stop_on_convergence:
            criteria["ConvergenceDetected"] = {"CompleteOnConvergence": "Enabled"}
        return criteria


def start_tuning_job(session: Session, request: Mapping[str, Any]) -> TuningJob:
    """Ask for a tuning job with CreateHyperParameterTuningJob's parameters.

    Raises:
        ServiceError: the service refuses it.
        UsageError: its name is taken.
    """
    client = session.client("sagemaker")
    name = str(request["HyperParameterTuningJobName"])
    with spoken_faults():
        try:
            client.create_hyper_parameter_tuning_job(**request)
        except client.exceptions.ResourceInUse as error:
            raise UsageError(
                f"there is a tuning job {name} already: choose another name"
            ) from error
    return TuningJob(session, name)


def made_up_tuning_name(stem: str) -> str:
    """A tuning job's name of some words and the time, to the second."""
    words = re.sub(r"[^a-zA-Z0-9]+", "-", Path(stem).name.split(".")[0]).strip("-") or "tuning"
    moment = datetime.now().astimezone().strftime("%y%m%d-%H%M%S")
    return f"{words[: NAME_LIMIT - len(moment) - 1].rstrip('-')}-{moment}"


def _line(trial: TrialDescription) -> str:
    values = " ".join(f"{name}={value}" for name, value in trial.values.items())
    objective = "without an objective" if trial.objective is None else f"{trial.objective:.6g}"
    return f"trial {trial.number}: {trial.status}, {objective} ({values})"
