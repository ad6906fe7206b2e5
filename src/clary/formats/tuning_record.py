"""What a tuning job tried and found, as two processes exchange it: `tuning.json`.

Format version 1; see `docs/formats/tuning_record.md`.
"""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    model_validator,
)

from clary.formats.files import write_text
from clary.formats.records import read_record

VERSION = 1
TUNING_FILE = "tuning.json"

Direction = Literal["Minimize", "Maximize"]
Scaling = Literal["Auto", "Linear", "Logarithmic", "ReverseLogarithmic"]
Strategy = Literal["Bayesian", "Random", "Grid", "Hyperband"]
TrialStatus = Literal["InProgress", "Completed", "Stopping", "Stopped", "Failed"]
TuningStatus = Literal["InProgress", "Completed", "Stopping", "Stopped", "Failed"]
Value = int | float | str


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


# JSON has neither NaN nor infinity: a figure that is not finite is None.
Figure = Annotated[float | None, BeforeValidator(_finite)]
FiniteFloat = Annotated[float, Field(allow_inf_nan=False)]
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


class ContinuousRange(_Frozen):
    """Any number from `low` to `high`, both included."""

    kind: Literal["continuous"] = "continuous"
    name: str
    low: FiniteFloat
    high: FiniteFloat
    scaling: Scaling = "Auto"

    @model_validator(mode="after")
    def _not_empty(self) -> ContinuousRange:
        _check_bounds(self.name, self.low, self.high, self.scaling)
        return self


class IntegerRange(_Frozen):
    """Any whole number from `low` to `high`, both included."""

    kind: Literal["integer"] = "integer"
    name: str
    low: int
    high: int
    scaling: Scaling = "Auto"

    @model_validator(mode="after")
    def _not_empty(self) -> IntegerRange:
        _check_bounds(self.name, self.low, self.high, self.scaling)
        return self


class CategoricalRange(_Frozen):
    """One of some values, in the order in which they were given."""

    kind: Literal["categorical"] = "categorical"
    name: str
    values: Annotated[tuple[str, ...], Field(min_length=1)]


ParameterRange = Annotated[
    ContinuousRange | IntegerRange | CategoricalRange, Field(discriminator="kind")
]


class Objective(_Frozen):
    """The metric that was to become small or large."""

    name: str
    direction: Direction


class TrialRecord(_Frozen):
    """One training job of the tuning job.

    `number` counts from 1. `parameters` are the tuned ones. `value` is the objective at the end,
    None where there is none; `curve` the objective as it was emitted, in order. `started` and
    `seconds` are when its training began and how long it took. `failure` says why it failed.
    `pictures` stands for the pictures that it was trained on: equal ones have the same text. None
    where it has left no model that tells.
    """

    number: Annotated[int, Field(ge=1)]
    job: str
    status: TrialStatus
    parameters: dict[str, Value]
    value: Figure = None
    curve: tuple[Figure, ...] = ()
    started: AwareDatetime | None = None
    seconds: Seconds | None = None
    early_stopped: bool = False
    failure: str | None = None
    pictures: str | None = None


class TuningRecord(_Frozen):
    """A tuning job: what it looked for and where, every trial, and what came of it.

    `best` is the number of the best trial. `importances` are the tuned parameters' shares in what
    made trials differ, summing to 1; empty where too few trials tell. `completion` says in a
    sentence why it ended. `fixed` are the values that all trials share, `parents` the tuning jobs
    it learned from, `data` where the pictures are, and `command` trains with the best values.
    `seconds` is the time from the first trial to the last, on the clock.
    """

    version: int = VERSION
    name: str
    status: TuningStatus
    objective: Objective
    strategy: Strategy
    ranges: Annotated[tuple[ParameterRange, ...], Field(min_length=1)]
    trials: tuple[TrialRecord, ...] = ()
    best: int | None = None
    importances: dict[str, Share] = {}
    created: AwareDatetime | None = None
    seconds: Seconds | None = None
    max_trials: Annotated[int, Field(ge=1)] | None = None
    max_parallel: Annotated[int, Field(ge=1)] | None = None
    early_stopping: bool = False
    completion: str | None = None
    parents: tuple[str, ...] = ()
    fixed: dict[str, str] = {}
    data: str | None = None
    command: str | None = None

    @model_validator(mode="after")
    def _fits_together(self) -> TuningRecord:
        names = [tuned.name for tuned in self.ranges]
        if len(set(names)) < len(names):
            raise ValueError(f"a parameter has two ranges: {', '.join(names)}")
        numbers = [trial.number for trial in self.trials]
        if len(set(numbers)) < len(numbers):
            raise ValueError("two trials have the same number")
        if self.best is not None and (self.best_trial is None or self.best_trial.value is None):
            raise ValueError(f"the best trial, {self.best}, is not among those with a value")
        unknown = sorted(set(self.importances) - set(names))
        if unknown:
            raise ValueError(f"importances of parameters without a range: {', '.join(unknown)}")
        return self

    @property
    def best_trial(self) -> TrialRecord | None:
        """The best trial, or None where no trial has a value."""
        return next((trial for trial in self.trials if trial.number == self.best), None)

    @property
    def pictures_changed_at(self) -> int | None:
        """The number of the first trial that was trained on other pictures than one before it;
        None where none is known to be.
        """
        known = [trial for trial in self.trials if trial.pictures is not None]
        for before, trial in itertools.pairwise(sorted(known, key=lambda trial: trial.number)):
            if trial.pictures != before.pictures:
                return trial.number
        return None

    def write(self, folder: Path) -> Path:
        """Write `tuning.json` into a folder, which is made where it is missing.

        Returns:
            The file.

        Raises:
            StorageError: the folder cannot be written.
        """
        path = folder / TUNING_FILE
        write_text(path, self.model_dump_json(indent=1) + "\n")
        return path

    @classmethod
    def read(cls, folder: Path) -> TuningRecord:
        """Read `tuning.json` of a folder.

        Raises:
            FormatError: it is missing, damaged, or of a later version.
        """
        path = folder / TUNING_FILE
        return read_record(cls, path, VERSION, "the record of a tuning job")


def _check_bounds(name: str, low: float, high: float, scaling: Scaling) -> None:
    if low > high:
        raise ValueError(f"the range of {name}, {low} to {high}, is empty")
    if scaling == "Logarithmic" and low <= 0:
        raise ValueError(f"the range of {name} begins at {low}, which has no logarithm")
    if scaling == "ReverseLogarithmic" and not 0 <= low <= high < 1:
        raise ValueError(f"the range of {name}, {low} to {high}, is not within 0 ≤ x < 1")
