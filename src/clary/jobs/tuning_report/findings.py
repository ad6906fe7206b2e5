"""What the figures and the verdict are computed from: which trials count, how good each is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import median

from clary.formats.tuning_record import ParameterRange, TrialRecord, TuningRecord
from clary.jobs.tuning_report.axes import Axis
from clary.jobs.tuning_report.objective import Yardstick, yardstick

RUNNING = ("InProgress", "Stopping")
# With more, one picture more or less is no matter, and rounded values fit too many numbers.
MOST_PICTURES = 500
# Half of the fourth decimal, which is the last one in Clary's logs.
ROUNDING = 0.000051


@dataclass(frozen=True)
class Judged:
    """A trial that ended with a value, which is therefore known."""

    trial: TrialRecord
    value: float


@dataclass(frozen=True)
class Findings:
    """A tuning job, looked at.

    `judged` are the trials that ended with a value, by number; `failed` those that failed,
    `silent` those that ended well without a value, `stopped` those that were stopped before they
    had one, `running` those that have not ended.
    `axes` stand for the parameters, the most important first.
    """

    record: TuningRecord
    judged: tuple[Judged, ...]
    failed: tuple[TrialRecord, ...]
    silent: tuple[TrialRecord, ...]
    stopped: tuple[TrialRecord, ...]
    running: tuple[TrialRecord, ...]
    axes: tuple[Axis, ...]
    objective: Yardstick

    @property
    def best(self) -> Judged | None:
        """The trial that the record names as the best."""
        return next((one for one in self.judged if one.trial.number == self.record.best), None)

    @property
    def median(self) -> float | None:
        """The value of the trial in the middle; None where no trial has one."""
        return median(one.value for one in self.judged) if self.judged else None

    @property
    def worst_first(self) -> list[Judged]:
        """The judged trials in the order in which they are drawn: the best ones on top."""
        return sorted(self.judged, key=lambda one: self.objective.gain(one.value, 0.0))

    @property
    def beyond(self) -> int:
        """How many trials have a value that the figures draw at their edge."""
        return sum(self.objective.clip(one.value) != one.value for one in self.judged)

    @cached_property
    def pictures(self) -> int | None:
        """How many pictures the accuracies of all epochs were counted on, at most 500.

        It is the smallest number of which all are fractions; None where there is none, or where
        too few values, or rounded ones, leave it open.
        """
        values = {one.value for one in self.judged}
        values |= {v for one in self.judged for v in one.trial.curve if v is not None}
        if not self.objective.as_percent or len(values) < 4:
            return None
        if all(value == round(value, 2) for value in values):
            return None
        for count in range(2, MOST_PICTURES + 1):
            if all(
                abs(value * count - round(value * count)) < ROUNDING * count for value in values
            ):
                return count
        return None

    @property
    def best_completed(self) -> Judged | None:
        """The best of the trials that were trained to their end, and so have left a model."""
        completed = [one for one in self.judged if one.trial.status == "Completed"]
        if self.best in completed:
            return self.best
        return max(completed, key=lambda one: self.objective.gain(one.value, 0.0), default=None)

    def best_so_far(self) -> list[Judged]:
        """The trials that were better than all with a lower number."""
        found: list[Judged] = []
        for one in self.judged:
            if not found or self.objective.gain(one.value, found[-1].value) > 0:
                found.append(one)
        return found

    def tone(self, one: Judged) -> int:
        """How many of the other trials are worse, in percent, for its colour."""
        worse = sum(self.objective.gain(one.value, other.value) > 0 for other in self.judged)
        return round(100 * worse / max(len(self.judged) - 1, 1))


def look(record: TuningRecord) -> Findings:
    """Sort a record's trials, and measure them."""
    trials = sorted(record.trials, key=lambda trial: trial.number)
    ended = [t for t in trials if t.status not in (*RUNNING, "Failed")]
    judged = tuple(Judged(trial, trial.value) for trial in ended if trial.value is not None)
    return Findings(
        record=record,
        judged=judged,
        failed=tuple(trial for trial in trials if trial.status == "Failed"),
        silent=tuple(t for t in ended if t.value is None and t.status == "Completed"),
        stopped=tuple(t for t in ended if t.value is None and t.status == "Stopped"),
        running=tuple(trial for trial in trials if trial.status in RUNNING),
        axes=tuple(Axis(tuned) for tuned in _by_importance(record)),
        objective=yardstick(record.objective, [one.value for one in judged]),
    )


def _by_importance(record: TuningRecord) -> Sequence[ParameterRange]:
    return sorted(record.ranges, key=lambda tuned: -record.importances.get(tuned.name, 0.0))
