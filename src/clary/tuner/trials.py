"""What has been tried, as the strategies and the stopping rules see it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from clary.tuner.scaling import Value

Direction = Literal["Minimize", "Maximize"]
TrialState = Literal["running", "succeeded", "failed"]


@dataclass(frozen=True)
class Trial:
    """One training job of a tuning job.

    Args:
        number: counts from 1, in the order in which trials are begun.
        parameters: what the strategy chose, by hyperparameter.
        state: succeeded means that it ended with an objective, stopped early or not; failed that
            it ended without one.
        value: the final objective, in the metric's unit; None until the trial has succeeded.
        curve: the objective each time that it was emitted, in that order; one per epoch, NaN where
            it was no finite number.
    """

    number: int
    parameters: Mapping[str, Value]
    state: TrialState
    value: float | None = None
    curve: tuple[float, ...] = ()


def losses(values: Iterable[float], direction: Direction) -> list[float]:
    """`values` such that less is better in either direction; what is not finite is the worst."""
    sign = 1 if direction == "Minimize" else -1
    return [sign * value if math.isfinite(value) else math.inf for value in values]


def loss(trial: Trial, direction: Direction) -> float | None:
    """The trial's objective as a finite number of which less is better; None if it has none."""
    if trial.state != "succeeded" or trial.value is None or not math.isfinite(trial.value):
        return None
    return trial.value if direction == "Minimize" else -trial.value


def succeeded(trials: Sequence[Trial], direction: Direction) -> list[tuple[Trial, float]]:
    """The trials that have a finite objective, each with its loss, in the order of numbers."""
    scored = [(trial, loss(trial, direction)) for trial in sorted(trials, key=_number)]
    return [(trial, value) for trial, value in scored if value is not None]


def _number(trial: Trial) -> int:
    return trial.number
