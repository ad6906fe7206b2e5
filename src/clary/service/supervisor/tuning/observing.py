"""What has become of a tuning job's trials, as the tuner sees them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from clary.errors import UsageError
from clary.service.state.metric_data import Metric
from clary.service.state.state import State
from clary.service.state.training_jobs import TrainingJob
from clary.service.supervisor.log_following import METRIC_NAMESPACE
from clary.service.supervisor.tuning.definitions import Definition
from clary.tuner.search import Search
from clary.tuner.trials import Trial, TrialState

ObjectiveStatus = Literal["Succeeded", "Pending", "Failed"]

TRIAL_STATES: Mapping[ObjectiveStatus, TrialState] = {
    "Pending": "running",
    "Succeeded": "succeeded",
    "Failed": "failed",
}

_ALL_TIMES_MS = (0, 2**62)


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


def objective_status(job: TrainingJob, metric: str) -> ObjectiveStatus:
    """What became of the objective: a job that failed has none, whatever its log says."""
    if job.status in {"InProgress", "Stopping"}:
        return "Pending"
    failed = job.secondary == "Failed"
    return "Failed" if failed or metric not in job.final_metrics else "Succeeded"


def objective_value(job: TrainingJob, metric: str) -> float | None:
    """The objective of a job that has one: the last that its log says."""
    if objective_status(job, metric) != "Succeeded":
        return None
    return job.final_metrics[metric].value


def read_trial(
    job: TrainingJob, search: Search, metric: str, curve: tuple[float, ...] = ()
) -> Trial:
    """A training job as the tuner's trial; its number is the tuning job's.

    Raises:
        UsageError: the job's hyperparameters are none of the search's space.
    """
    assert job.trial is not None
    return Trial(
        number=job.trial.number,
        parameters=search.space.from_text(job.request["HyperParameters"]),
        state=TRIAL_STATES[objective_status(job, metric)],
        value=objective_value(job, metric),
        curve=curve,
    )


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
        self._curves = curves
        self._seen: dict[int, SeenTrial] = {}
        # All trials up to this number have ended.
        self._settled = 0
        self._last_metrics: dict[int, tuple[int, object]] = {}

    def look(self) -> list[SeenTrial]:
        """All trials, by number.

        Raises:
            StorageError: the database cannot be read.
        """
        for job in self._state.training_jobs.trials_of(self._tuning_number, self._settled):
            assert job.trial is not None
            earlier = self._seen.get(job.trial.number)
            if earlier is None or earlier.active:
                self._seen[job.trial.number] = self._see(job, earlier)
        while self._settled + 1 in self._seen and not self._seen[self._settled + 1].active:
            self._settled += 1
        return [self._seen[number] for number in sorted(self._seen)]

    def _see(self, job: TrainingJob, earlier: SeenTrial | None) -> SeenTrial:
        assert job.trial is not None
        definition = self._definitions[job.trial.definition]
        curve = self._curve(job, definition.objective, earlier) if self._curves else ()
        trial = read_trial(job, definition.search, definition.objective, curve)
        seconds = None
        if trial.state != "running" and job.ended_ms is not None:
            seconds = (job.ended_ms - (job.running_ms or job.created_ms)) / 1000
        return SeenTrial(job.name, definition.name, job.status, trial, seconds)

    def _curve(self, job: TrainingJob, metric: str, earlier: SeenTrial | None) -> tuple[float, ...]:
        """The objective as it was emitted; read again only when the log said a new one."""
        last = job.final_metrics.get(metric)
        if last is None:
            return ()
        assert job.trial is not None
        # Where the log was read to tells two equal values of one moment apart.
        marker = (last.timestamp_ms, dict(job.log_offsets))
        if earlier is not None and self._last_metrics.get(job.trial.number) == marker:
            return earlier.trial.curve
        self._last_metrics[job.trial.number] = marker
        of_job = Metric(METRIC_NAMESPACE, metric, {"TrainingJobName": job.name})
        values = self._state.metrics.values(of_job, *_ALL_TIMES_MS)
        return tuple(datum.sum / datum.count for datum in values)


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
    for number in parents:
        for job in state.training_jobs.trials_of(number):
            assert job.trial is not None
            if not alone and job.trial.definition != definition.name:
                continue
            try:
                found.append(read_trial(job, definition.search, definition.objective))
            except UsageError:
                # What is a number here was none there: such a trial tells nothing.
                continue
    return found
