"""What has become of a tuning job's trials, as the tuner sees them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from clary.errors import UsageError
from clary.service.state.state import State
from clary.service.state.training_jobs import TrainingJob
from clary.service.state.trials import TrialSummary
from clary.service.supervisor.tuning.definitions import Definition
from clary.tuner.trials import Trial, TrialState

ObjectiveStatus = Literal["Succeeded", "Pending", "Failed"]

TRIAL_STATES: Mapping[ObjectiveStatus, TrialState] = {
    "Pending": "running",
    "Succeeded": "succeeded",
    "Failed": "failed",
}


@dataclass(frozen=True)
class SeenTrial:
    """A trial and its training job. `seconds` is what it took, None while it runs."""

    name: str
    definition: str | None
    status: str
    trial: Trial
    seconds: float | None

    @property
    def active(self) -> bool:
        """Whether its training job has not ended."""
        return self.trial.state == "running"


def objective_status(job: TrainingJob | TrialSummary, metric: str) -> ObjectiveStatus:
    """What became of the objective.

    A job that failed has none, whatever its log says, nor has one that ended with NaN.
    """
    if job.status in {"InProgress", "Stopping"}:
        return "Pending"
    last = job.final_metrics.get(metric)
    failed = job.secondary == "Failed" or last is None or last.diverged
    return "Failed" if failed else "Succeeded"


def objective_value(job: TrainingJob | TrialSummary, metric: str) -> float | None:
    """The objective of a job that has one: the last that its log says."""
    if objective_status(job, metric) != "Succeeded":
        return None
    return job.final_metrics[metric].value


class TrialObserver:
    """Looks at the trials of one tuning job; what has ended is read once.

    Owned by a tuning conductor, whose thread calls it.
    """

    def __init__(
        self, state: State, tuning_number: int, definitions: Sequence[Definition], *, curves: bool
    ) -> None:
        """Observe.

        Args:
            state: where the training jobs are.
            tuning_number: the tuning job's.
            definitions: its training job definitions.
            curves: whether the objective of each epoch is wanted.
        """
        self._state = state
        self._tuning_number = tuning_number
        self._definitions: Mapping[str | None, Definition] = {one.name: one for one in definitions}
        self._curves = Curves(state, tuning_number) if curves else None
        self._seen: dict[int, SeenTrial] = {}

    def look(self) -> list[SeenTrial]:
        """All trials, by number.

        Raises:
            StorageError: the database cannot be read.
        """
        active = [number for number, one in self._seen.items() if one.active]
        last = max(self._seen, default=0)
        jobs = self._state.trials.of(self._tuning_number, last, active)
        # After the jobs: the curve of one that has ended is whole.
        if self._curves is not None and jobs:
            self._curves.read()
        for job in jobs:
            self._seen[job.trial.number] = self._see(job)
        return [self._seen[number] for number in sorted(self._seen)]

    def _see(self, job: TrialSummary) -> SeenTrial:
        definition = self._definitions[job.trial.definition]
        metric = definition.objective
        trial = Trial(
            number=job.trial.number,
            parameters=definition.search.space.from_text(job.trial.tuned),
            state=TRIAL_STATES[objective_status(job, metric)],
            value=objective_value(job, metric),
            curve=() if self._curves is None else self._curves.of(job.trial.number),
        )
        seconds = None
        if trial.state != "running" and job.ended_ms is not None:
            seconds = (job.ended_ms - (job.running_ms or job.created_ms)) / 1000
        return SeenTrial(job.name, definition.name, job.status, trial, seconds)


class Curves:
    """The objective of each trial of a tuning job, epoch by epoch; each value is read once."""

    def __init__(self, state: State, tuning_number: int) -> None:
        """Begin with nothing read."""
        self._state = state
        self._tuning_number = tuning_number
        self._last = 0
        self._curves: dict[int, tuple[float, ...]] = {}

    def read(self) -> None:
        """Read what was emitted since.

        Raises:
            StorageError: the database cannot be read.
        """
        new: dict[int, list[float]] = {}
        for one in self._state.trials.values(self._tuning_number, self._last):
            new.setdefault(one.trial, []).append(one.value)
            self._last = one.id
        for number, values in new.items():
            self._curves[number] = (*self.of(number), *values)

    def of(self, number: int) -> tuple[float, ...]:
        """The curve of a trial as it was read; NaN where an epoch had no finite value."""
        return self._curves.get(number, ())


def read_parents(
    state: State, parents: Sequence[int], definition: Definition, *, alone: bool
) -> list[Trial]:
    """The trials of the tuning jobs that a definition is warm started from; they have ended.

    Args:
        state: where the training jobs are.
        parents: the numbers of the tuning jobs.
        definition: what they are read for.
        alone: whether it is the only definition; of several, each reads those of its own name.

    Raises:
        StorageError: the database cannot be read.
    """
    found: list[Trial] = []
    metric = definition.objective
    for number in parents:
        curves = Curves(state, number)
        curves.read()
        for job in state.training_jobs.trials_of(number):
            assert job.trial is not None
            if not alone and job.trial.definition != definition.name:
                continue
            try:
                # What is searched here may have been fixed there.
                parameters = definition.search.space.from_text(job.request["HyperParameters"])
            except UsageError:
                # What is a number here was none there: such a trial tells nothing.
                continue
            found.append(
                Trial(
                    number=job.trial.number,
                    parameters=parameters,
                    state=TRIAL_STATES[objective_status(job, metric)],
                    value=objective_value(job, metric),
                    curve=curves.of(job.trial.number),
                )
            )
    return found
