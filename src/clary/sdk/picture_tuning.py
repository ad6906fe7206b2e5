"""What `clary tune` asks for: a tuning job whose trials are trainings of the built-in algorithm.

    tuning = PictureTuning.prepare("photos", {"epochs": "5"}, settings, plan=TuningPlan(trials=8))
    job = tuning.on(pictures=244, judged=153).start(session)

Whatever a person can have typed wrongly is found before a service is needed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from clary.errors import UsageError
from clary.formats.builtin_algorithm import OBJECTIVES
from clary.formats.training_options import TrainingOptions, nothing_to_judge_by
from clary.gpus import count_gpus
from clary.sdk.hyperparameter_tuner import (
    MAX_RUN_SECONDS,
    MIN_RUN_SECONDS,
    NAME_LIMIT,
    TUNING_NAME,
    HyperparameterTuner,
    made_up_tuning_name,
    start_tuning_job,
)
from clary.sdk.picture_training import LOCATION_VARIABLE, PictureTraining, with_absolute_paths
from clary.sdk.session import Session
from clary.sdk.training_space import default_grid, default_space, fit_batches, own_space
from clary.sdk.tuning_description import TuningDescription
from clary.sdk.tuning_job import TuningJob
from clary.settings import Settings
from clary.tuner.ranges import CategoricalRange, Range, Space
from clary.tuner.search import Direction, Search, Strategy

DEFAULT_TRIALS = 20
DEFAULT_PARALLEL = 4
TRIALS_LIMIT, PARALLEL_LIMIT = 10_000, 100

ObjectiveName = Literal["valid_accuracy", "valid_loss"]
_DIRECTIONS: dict[str, Direction] = {"valid_accuracy": "Maximize", "valid_loss": "Minimize"}
_DURATION = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")
_SECONDS = (86_400, 3_600, 60, 1)


@dataclass(frozen=True)
class TuningPlan:
    """How a person wants to search.

    Args:
        space: ranges as text; those that fit the training when None.
        trials: how many; 20, or as many as a grid has combinations, when None.
        strategy: how combinations are chosen.
        parallel: how many trials at once.
        objective: what a trial is judged by: that of the epoch whose weights it keeps.
        early_stopping: stop trials that fall behind the median of the others.
        target: an objective that is good enough.
        time_limit: such as `10m` or `1h30m`.
        name: at most 32 letters, digits and inner hyphens; made up when None.

    Raises:
        UsageError: a number is out of bounds, no range is given, or the name or the time limit is
            not understood.
    """

    space: Sequence[str] | None = None
    trials: int | None = None
    strategy: Strategy = "Bayesian"
    parallel: int = DEFAULT_PARALLEL
    objective: str = "valid_accuracy"
    early_stopping: bool = False
    target: float | None = None
    time_limit: str | None = None
    name: str | None = None

    def __post_init__(self) -> None:
        check_counts(self.trials, self.parallel)
        check_name(self.name)
        if self.space is not None and not self.space:
            raise UsageError(
                "--space names no range: give some, such as --space lr=1e-4..1e-1:log, or leave it "
                "out for those that fit"
            )
        if self.objective not in get_args(ObjectiveName):
            raise UsageError(
                f"--objective is {self.objective!r} but must be {' or '.join(_DIRECTIONS)}"
            )
        if self.early_stopping and self.strategy == "Hyperband":
            raise UsageError(
                "--early-stopping is for the other strategies: hyperband stops trials by a rule "
                "of its own"
            )
        self.seconds  # noqa: B018 - a time limit that is not understood is said now

    @property
    def direction(self) -> Direction:
        """Which way the objective is better."""
        return _DIRECTIONS[self.objective]

    @property
    def seconds(self) -> int | None:
        """The time limit in seconds.

        Raises:
            UsageError: it is not understood, or out of bounds.
        """
        return None if self.time_limit is None else seconds_of(self.time_limit)


@dataclass(frozen=True)
class PictureTuning:
    """A tuning job that can be started. `training` is what all trials have in common."""

    training: PictureTraining
    plan: TuningPlan
    space: Space

    @classmethod
    def prepare(
        cls, data: str, options: Mapping[str, Any], settings: Settings, plan: TuningPlan
    ) -> PictureTuning:
        """Check what a person asks for.

        Args:
            data: a path or a known name.
            options: fields of `TrainingOptions` that all trials share, text allowed.
            settings: whose home is searched for the models that options name.
            plan: how to search.

        Raises:
            DataError: there is no such data.
            UsageError: an option or a range cannot be used, or the strategy does not fit.
        """
        given = dict(options)
        if plan.objective == "valid_loss":
            # A trial is judged by the epoch that it keeps, and so keeps the one of the least loss.
            given.setdefault("monitor", "valid_loss")
        training = PictureTraining.prepare(
            data, given, settings, skip_check=True, no_report=True, shared=True
        )
        if plan.space:
            space = own_space(plan.space, given, count_gpus())
            space = Space(tuple(_with_absolute_paths(one, settings) for one in space.ranges))
        else:
            space = default_space(given, count_gpus())
            if plan.strategy == "Grid":
                space = default_grid(space)
        prepared = cls(training, plan, space)
        prepared._check_strategy()
        return prepared

    @property
    def trials(self) -> int:
        """How many trials there will be at most."""
        if self.plan.trials is None and self.plan.strategy == "Grid" and self.space.size:
            return self.space.size
        return self.plan.trials or DEFAULT_TRIALS

    def on(self, *, pictures: int, judged: int) -> PictureTuning:
        """The same, fitted to the pictures.

        Args:
            pictures: how many there are to train on.
            judged: how many to judge trials by.

        Raises:
            UsageError: a range of batch sizes goes beyond the pictures, or none are left to judge
                by.
        """
        if not judged:
            raise nothing_to_judge_by(self._options)
        return replace(self, space=fit_batches(self.space, pictures, own=bool(self.plan.space)))

    def start(self, session: Session) -> TuningJob:
        """Ask for the tuning job; a folder is served in place, nothing is copied.

        Raises:
            UsageError: the name is taken.
            ServiceError: the service refuses the job.
        """
        name = self.plan.name or made_up_tuning_name(self.training.location)
        estimator = replace(self.training.estimator(session), metrics=OBJECTIVES)
        epochs = self._epochs if self.plan.strategy == "Hyperband" else None
        tuner = HyperparameterTuner(
            estimator,
            self.plan.objective,
            self.space.ranges,
            direction=self.plan.direction,
            strategy=self.plan.strategy,
            max_jobs=self.trials,
            max_parallel_jobs=min(self.plan.parallel, self.trials),
            early_stopping=self.plan.early_stopping,
            seed=self._options.seed % 2**31,
            max_run_seconds=self.plan.seconds,
            target=self.plan.target,
            min_epochs=epochs and 1,
            # A trial ends by itself, and says its objective once more when it does: one that was
            # stopped at its last epoch would leave no model.
            max_epochs=epochs and epochs + 2,
        )
        return start_tuning_job(session, tuner.request(self.training.inputs, name))

    @property
    def _options(self) -> TrainingOptions:
        return self.training.request.options

    @property
    def _epochs(self) -> int:
        """The most epochs that a trial may have."""
        for tuned in self.space.ranges:
            if tuned.name == "epochs":
                values = tuned.values if isinstance(tuned, CategoricalRange) else (tuned.high,)
                return max(int(value) for value in values)
        return self._options.epochs

    def _check_strategy(self) -> None:
        grid = self.plan.strategy == "Grid"
        for tuned in self.space.ranges if grid else ():
            if not isinstance(tuned, CategoricalRange):
                raise UsageError(
                    f"a grid tries listed values, but {tuned.name} is a range of numbers: list "
                    f"some (--space {tuned.name}=A,B,C), or choose another --strategy"
                )
        if grid and self.plan.trials not in {None, self.space.size}:
            raise UsageError(
                f"--trials is {self.plan.trials} but the grid has {self.space.size} combinations: "
                "leave --trials out"
            )
        Search(
            self.space,
            self.plan.strategy,
            self.plan.direction,
            self._options.seed,
            max_trials=self.trials,
            max_resource=self._epochs + 2 if self.plan.strategy == "Hyperband" else None,
        )


def check_counts(trials: int | None, parallel: int | None) -> None:
    """Check a number of trials, and how many run at once.

    Raises:
        UsageError: one is out of bounds.
    """
    for option, value, limit in (
        ("--trials", trials, TRIALS_LIMIT),
        ("--parallel", parallel, PARALLEL_LIMIT),
    ):
        if value is not None and not 1 <= value <= limit:
            raise UsageError(f"{option} is {value} but must be 1 to {limit}")


def check_name(name: str | None) -> None:
    """Check the name of a tuning job to come.

    Raises:
        UsageError: it is not allowed.
    """
    if name is not None and not TUNING_NAME.fullmatch(name):
        raise UsageError(
            f"--name is {name!r} but must be 1 to {NAME_LIMIT} letters, digits and inner hyphens, "
            "such as ants-and-bees-2"
        )


def seconds_of(text: str) -> int:
    """A time limit such as `10m`, `1h30m` or `300s` in seconds.

    Raises:
        UsageError: it is not understood, or not between 2 minutes and SageMaker's 182 days.
    """
    found = _DURATION.fullmatch(text.replace(" ", "").lower())
    if found is None or not any(found.groups()):
        raise UsageError(f"--time-limit is {text!r} but must be a time such as 10m, 1h30m or 300s")
    seconds = sum(
        int(count or 0) * unit for count, unit in zip(found.groups(), _SECONDS, strict=True)
    )
    if not MIN_RUN_SECONDS <= seconds <= MAX_RUN_SECONDS:
        raise UsageError(
            f"--time-limit is {text} but must be {MIN_RUN_SECONDS // 60}m to "
            f"{MAX_RUN_SECONDS // 86_400}d"
        )
    return seconds


def tuned_on(found: TuningDescription) -> str | None:
    """What a tuning job of `clary tune` was given: an absolute path or a known name."""
    return found.environment.get(LOCATION_VARIABLE)


def _with_absolute_paths(tuned: Range, settings: Settings) -> Range:
    if tuned.name not in {"weights", "weight_path"} or not isinstance(tuned, CategoricalRange):
        return tuned
    values = (
        getattr(
            with_absolute_paths(TrainingOptions.parse({tuned.name: value}), settings), tuned.name
        )
        for value in tuned.values
    )
    return replace(tuned, values=tuple(values))
