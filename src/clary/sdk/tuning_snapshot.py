"""How a tuning job and all its trials stand at one moment: what a live table shows."""

from __future__ import annotations

import itertools
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from clary.sdk.job_listing import list_jobs
from clary.sdk.tuning_description import TuningDescription
from clary.sdk.tuning_job import TuningJob
from clary.sdk.tuning_resume import NumberedTrial, earlier_trials, number_on
from clary.tuner.best import best
from clary.tuner.trials import Trial

_METRICS_SECONDS = 1.0
_LATEST = 100


@dataclass(frozen=True)
class TuningSnapshot:
    """A moment. `trials` are those of earlier tuning jobs that it goes on from, `before` in
    number, and its own; `metrics` are the last values of each of the latest training jobs.
    """

    found: TuningDescription
    trials: Sequence[NumberedTrial]
    before: int
    metrics: Mapping[str, Mapping[str, float]]

    @property
    def ended(self) -> bool:
        """Whether the tuning job has ended."""
        return self.found.ended

    @property
    def total(self) -> int | None:
        """How many trials there will be at most, those before included; None if not known."""
        most = self.found.max_trials or self.found.space.size
        return None if most is None else most + self.before

    @cached_property
    def best(self) -> NumberedTrial | None:
        """The trial with the best objective so far."""
        return self._best_of(self.trials)

    @cached_property
    def best_completed(self) -> NumberedTrial | None:
        """The best of the trials that were not stopped, and so have left a model."""
        return self._best_of([one for one in self.trials if one.trial.status == "Completed"])

    def _best_of(self, trials: Sequence[NumberedTrial]) -> NumberedTrial | None:
        by_number = {one.number: one for one in trials}
        seen = [
            Trial(one.number, one.trial.values, "succeeded", one.trial.objective)
            for one in trials
            if one.trial.objective is not None
        ]
        winner = best(seen, self.found.direction)
        return by_number[winner.number] if winner else None

    @property
    def as_good(self) -> int:
        """How many trials have the best objective, the best one among them."""
        top = self.best.trial.objective if self.best else None
        return sum(one.trial.objective == top for one in self.trials) if self.best else 0

    @property
    def done(self) -> list[NumberedTrial]:
        """The trials that have ended."""
        return [one for one in self.trials if one.trial.ended]

    @property
    def seconds_left(self) -> float | None:
        """How long it will go on at the pace so far; None before a trial of its own has ended, or
        where nothing tells how many there will be.
        """
        ended = sum(one.trial.ended for one in self.trials[self.before :])
        if not ended or self.total is None:
            return None
        pace = self.found.seconds / ended
        left = pace * (self.total - self.before - ended)
        if self.found.max_seconds is not None:
            left = min(left, self.found.max_seconds - self.found.seconds)
        return max(0.0, left)


@dataclass
class TuningWatcher:
    """Takes one snapshot after another; what cannot change any more is asked once. One thread at
    a time.
    """

    job: TuningJob
    _before: Sequence[NumberedTrial] | None = None
    _metrics: dict[str, dict[str, float]] = field(default_factory=dict)
    _metrics_at: float = 0.0
    _ended: int = 0

    def snapshot(self) -> TuningSnapshot:
        """How it stands now.

        Raises:
            UsageError: there is no such tuning job.
            ServiceError: the service does not answer.
        """
        # Asked first: a trial that ends between the two questions is still told of.
        found = self.job.description()
        if self._before is None:
            self._before = earlier_trials(self.job, found)
            for parent in found.goes_on_from:
                self._read_metrics(parent)
        own = self.job.trials()
        ended = sum(trial.ended for trial in own)
        # Metrics cost the service more than all else, and change quickly only where trials run.
        if ended > self._ended or time.monotonic() - self._metrics_at > _METRICS_SECONDS:
            self._read_metrics(self.job.name)
            self._ended = ended
        numbered = [*self._before, *number_on(self._before, own)]
        return TuningSnapshot(found, numbered, len(self._before), self._metrics)

    def _read_metrics(self, name: str) -> None:
        latest = list_jobs(self.job.session, name_contains=f"{name}-")
        read = {job.name: job.metrics for job in itertools.islice(latest, _LATEST)}
        self._metrics = {**self._metrics, **read}
        self._metrics_at = time.monotonic()
