"""When a tuning job is over, by SageMaker's completion criteria.

https://docs.aws.amazon.com/sagemaker/latest/dg/automatic-model-tuning-progress.html. Any one that
holds is enough. Parents' trials do not count.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from clary.errors import UsageError
from clary.tuner.trials import Direction, Trial, loss

# What SageMaker calls an improvement: the best objective changes by this share of itself.
IMPROVEMENT = 0.01
FAILED_ATTEMPTS = 5

# Convergence: as many trials at least, and as many of them in vain.
CONVERGED_TRIALS = 20
CONVERGED_IN_VAIN = 10
# Of those in vain, as many came within an improvement of the best: it is a height that the search
# reaches again and again, not one stroke of luck.
CONVERGED_NEAR = 3

Reason = Literal["trials", "time", "target", "not_improving", "converged", "failures", "exhausted"]


@dataclass(frozen=True)
class Criteria:
    """When to end.

    Args:
        max_trials: how many trials may be begun.
        max_seconds: how long the tuning job may take, in seconds.
        target: an objective that is good enough, in the metric's unit.
        max_not_improving: how many trials in a row may fail to improve the best objective by 1 %.
        on_convergence: whether to end when an improvement by 1 % has become unlikely.

    Raises:
        UsageError: a number below its least useful value, or a target that is not finite.
    """

    max_trials: int | None = None
    max_seconds: float | None = None
    target: float | None = None
    max_not_improving: int | None = None
    on_convergence: bool = False

    def __post_init__(self) -> None:
        if self.max_trials is not None and self.max_trials < 1:
            raise UsageError(f"{self.max_trials} trials find nothing: ask for 1 or more")
        if self.max_seconds is not None and not self.max_seconds > 0:
            raise UsageError(f"{self.max_seconds:g} s are too short: allow more than 0")
        if self.max_not_improving is not None and self.max_not_improving < 3:
            raise UsageError(
                f"{self.max_not_improving} trials without an improvement say little: allow 3 or "
                "more"
            )
        if self.target is not None and not math.isfinite(self.target):
            raise UsageError(f"the target {self.target:g} is never reached: give a finite number")


@dataclass(frozen=True)
class Completion:
    """Why a tuning job is over, as one word and as a sentence for people."""

    reason: Reason
    message: str


def completion(
    criteria: Criteria,
    direction: Direction,
    trials: Sequence[Trial],
    elapsed_s: float,
    exhausted: bool = False,
) -> Completion | None:
    """Why the tuning job is over now; None if it goes on.

    A target, time, improvements and failures end it while trials run; the number of trials and an
    exhausted space only when none does.

    Args:
        criteria: when to end.
        direction: which way the objective is better.
        trials: the tuning job's own, running ones included, in any order.
        elapsed_s: seconds since the tuning job began.
        exhausted: whether every combination has been tried or is being tried.
    """
    trials = sorted(trials, key=lambda trial: trial.number)
    ended = [trial for trial in trials if trial.state != "running"]
    over = _good_enough(criteria, direction, trials) or _failures(trials)
    if over is not None:
        return over
    full = criteria.max_trials is not None and len(trials) >= criteria.max_trials
    if (full or exhausted) and len(ended) == len(trials):
        if ended and all(trial.state == "failed" for trial in ended):
            return Completion("failures", "All training jobs failed. " + _LOOK)
        if full:
            return Completion("trials", f"All {len(trials)} trials have ended.")
        return Completion("exhausted", f"All {len(trials)} combinations have been tried.")
    if criteria.max_seconds is not None and elapsed_s >= criteria.max_seconds:
        return Completion("time", f"The {criteria.max_seconds:g} s that it may take are over.")
    return _no_better(criteria, direction, ended)


def not_improving(direction: Direction, trials: Sequence[Trial]) -> int:
    """How many trials have ended since one last improved the best objective by 1 %.

    Running ones do not count, and nothing is in vain before a first trial has an objective. It is
    what SageMaker calls `NumberOfTrainingJobsObjectiveNotImproving`.
    """
    ended = [trial for trial in trials if trial.state != "running"]
    since, best = _since_improvement(direction, sorted(ended, key=lambda trial: trial.number))
    return 0 if best is None else len(since)


# In SageMaker's words.
_LOOK = (
    "For additional details, please take a look at the training job failures by listing training "
    "jobs for the hyperparameter tuning job."
)


def _good_enough(
    criteria: Criteria, direction: Direction, trials: Sequence[Trial]
) -> Completion | None:
    if criteria.target is None:
        return None
    bound = criteria.target if direction == "Minimize" else -criteria.target
    for trial in trials:
        reached = loss(trial, direction)
        if reached is not None and reached <= bound:
            return Completion(
                "target",
                f"Trial {trial.number} reached {trial.value:g}, and the target is "
                f"{criteria.target:g}.",
            )
    return None


def _failures(trials: Sequence[Trial]) -> Completion | None:
    first = trials[:FAILED_ATTEMPTS]
    no_success = all(trial.state != "succeeded" for trial in trials)
    if len(first) == FAILED_ATTEMPTS and no_success and all(t.state == "failed" for t in first):
        return Completion(
            "failures", f"No training job succeeded after {FAILED_ATTEMPTS} attempts. " + _LOOK
        )
    return None


def _no_better(
    criteria: Criteria, direction: Direction, ended: Sequence[Trial]
) -> Completion | None:
    since, best = _since_improvement(direction, ended)
    if best is None:
        return None
    allowed = criteria.max_not_improving
    if allowed is not None and len(since) >= allowed:
        return Completion(
            "not_improving",
            f"{len(since)} trials in a row have not improved the best objective by 1 %.",
        )
    if criteria.on_convergence and len(ended) >= CONVERGED_TRIALS:
        near = [value for value in since if value is not None and value <= best + _step(best)]
        in_vain = max(CONVERGED_IN_VAIN, len(ended) // 2)
        if len(since) >= in_vain and len(near) >= CONVERGED_NEAR:
            return Completion(
                "converged",
                f"The last {len(since)} trials came as close as 1 % to the best objective "
                f"{len(near)} times and never passed it by as much.",
            )
    return None


def _step(best: float) -> float:
    return IMPROVEMENT * abs(best)


def _since_improvement(
    direction: Direction, ended: Sequence[Trial]
) -> tuple[list[float | None], float | None]:
    """The losses of the trials after the last improvement (None: failed), and what it reached.

    Steps below 1 % add up: they are measured from the last improvement, not from each other.
    """
    best: float | None = None
    since: list[float | None] = []
    for trial in ended:
        value = loss(trial, direction)
        improves = value is not None and (best is None or value < best - _step(best))
        if improves:
            best, since = value, []
        else:
            since.append(value)
    return since, best
