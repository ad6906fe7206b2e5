"""Training jobs as they are stored."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Row, delete, func, insert, select, update

from clary.service.state.database import Database
from clary.service.state.tables import training_jobs

ACTIVE = ("InProgress", "Stopping", "Deleting")


@dataclass(frozen=True)
class Transition:
    """One entry of SecondaryStatusTransitions; `ended_ms` is None in the last one of a live job."""

    status: str
    message: str
    started_ms: int
    ended_ms: int | None = None


@dataclass(frozen=True)
class FinalMetric:
    """The last finite value of a metric that was found in the log.

    `diverged` says that the log has said since what is no finite number, such as `nan`.
    """

    value: float
    timestamp_ms: int
    diverged: bool = False


@dataclass(frozen=True)
class TrialOf:
    """What makes a training job a trial: whose it is, and what was chosen for it.

    `tuning_number` is the tuning job's own among all tuning jobs, `number` counts its trials from
    1. `definition` names the training job definition where there are several; `tuned` holds the
    chosen hyperparameters as the job gets them.
    """

    tuning_job: str
    tuning_arn: str
    tuning_number: int
    number: int
    definition: str | None
    tuned: Mapping[str, str]


@dataclass(frozen=True)
class TrainingJob:
    """One training job. Times are milliseconds since 1970.

    `request` is CreateTrainingJob's, verbatim but for its tags; `updates` holds the members that
    UpdateTrainingJob changed. `number` counts jobs in the order of their creation, 0 before a job
    is stored. `failure` is known when the user's code has ended and shown when the job has.
    `trial` is there when a tuning job made the job.
    """

    name: str
    arn: str
    request: Mapping[str, Any]
    status: str
    secondary: str
    transitions: tuple[Transition, ...]
    created_ms: int
    modified_ms: int
    started_ms: int | None = None
    running_ms: int | None = None
    ended_ms: int | None = None
    stop_asked_ms: int | None = None
    stop_cause: str | None = None
    launched: bool = False
    failure: str | None = None
    model_artifacts: str | None = None
    output_artifacts: str | None = None
    updates: Mapping[str, Any] = field(default_factory=dict)
    final_metrics: Mapping[str, FinalMetric] = field(default_factory=dict)
    log_offsets: Mapping[str, int] = field(default_factory=dict)
    trial: TrialOf | None = None
    number: int = 0

    @property
    def message(self) -> str:
        """What the job says of its state."""
        return self.transitions[-1].message

    @property
    def active(self) -> bool:
        """Whether the supervisor still has something to do for it."""
        return self.status in ACTIVE


@dataclass(frozen=True)
class JobSummary:
    """What a list shows of a training job."""

    number: int
    name: str
    arn: str
    status: str
    secondary: str
    created_ms: int
    modified_ms: int
    ended_ms: int | None
    tuning_number: int | None

    @property
    def is_trial(self) -> bool:
        """Whether a tuning job made it."""
        return self.tuning_number is not None

    @property
    def active(self) -> bool:
        """Whether the supervisor still has something to do for it."""
        return self.status in ACTIVE


class TrainingJobs:
    """The stored training jobs. Any thread may call any method."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(
        self, job: TrainingJob, also: Callable[[Connection, TrainingJob], None]
    ) -> TrainingJob | None:
        """Store a new job, and what `also` adds to it; give the one of its name, if there is one.

        Raises:
            StorageError: the database cannot be written.
        """
        with self._database.writing() as connection:
            earlier = _find(connection, job.name)
            if earlier is None:
                also(connection, add_within(connection, job))
            return earlier

    def find(self, name: str) -> TrainingJob | None:
        """A job by its name.

        Raises:
            StorageError: the database cannot be read.
        """
        with self._database.reading() as connection:
            return _find(connection, name)

    def select(self, statuses: Sequence[str] = ()) -> list[TrainingJob]:
        """All jobs, or those in one of `statuses`, the oldest first.

        Raises:
            StorageError: the database cannot be read.
        """
        query = select(training_jobs).order_by(training_jobs.c.number)
        if statuses:
            query = query.where(training_jobs.c.status.in_(statuses))
        with self._database.reading() as connection:
            return [_job(row) for row in connection.execute(query)]

    def summaries(self, statuses: Sequence[str] = ()) -> list[JobSummary]:
        """All jobs, or those in one of `statuses`, in short, the oldest first.

        Raises:
            StorageError: the database cannot be read.
        """
        columns = [training_jobs.c[field.name] for field in dataclasses.fields(JobSummary)]
        query = select(*columns).order_by(training_jobs.c.number)
        if statuses:
            query = query.where(training_jobs.c.status.in_(statuses))
        with self._database.reading() as connection:
            return [JobSummary(*row) for row in connection.execute(query)]

    def trials_of(
        self, tuning_number: int, after: int = 0, statuses: Sequence[str] = ()
    ) -> list[TrainingJob]:
        """The trials of a tuning job, or those in one of `statuses`, in the order of their numbers.

        Args:
            tuning_number: the tuning job's.
            after: only trials with higher numbers.
            statuses: only trials in one of these.

        Raises:
            StorageError: the database cannot be read.
        """
        columns = training_jobs.c
        query = (
            select(training_jobs)
            .where(columns.tuning_number == tuning_number, columns.trial_number > after)
            .order_by(columns.trial_number)
        )
        if statuses:
            query = query.where(columns.status.in_(statuses))
        with self._database.reading() as connection:
            return [_job(row) for row in connection.execute(query)]

    def change(
        self, name: str, change: Callable[[TrainingJob], TrainingJob | None]
    ) -> TrainingJob | None:
        """Replace a job by what `change` makes of it, in one transaction.

        Gives the new job; None when there is no such job or `change` gave None.

        Raises:
            StorageError: the database cannot be written.
        """
        with self._database.writing() as connection:
            return change_within(connection, name, change)

    def remove(self, name: str, also: Callable[[Connection], None]) -> None:
        """Forget a job, and what `also` removes with it.

        Raises:
            StorageError: the database cannot be written.
        """
        with self._database.writing() as connection:
            connection.execute(delete(training_jobs).where(training_jobs.c.name == name))
            also(connection)


def read_final_metrics(text: str) -> dict[str, FinalMetric]:
    """The column of final metrics."""
    return {name: FinalMetric(*metric) for name, metric in json.loads(text).items()}


def read_trial_of(text: str) -> TrialOf:
    """The column that makes a training job a trial."""
    return TrialOf(**json.loads(text))


def add_within(connection: Connection, job: TrainingJob) -> TrainingJob:
    """Store a new job, whose name nobody bears, as a part of a transaction; the job with number."""
    query = insert(training_jobs).values(_columns(job)).returning(training_jobs.c.number)
    return dataclasses.replace(job, number=connection.execute(query).scalar_one())


def select_within(
    connection: Connection, prefix: str, statuses: Sequence[str]
) -> list[TrainingJob]:
    """Jobs in one of `statuses` whose names begin with a prefix, as a part of a transaction."""
    columns = training_jobs.c
    begins = func.substr(columns.name, 1, len(prefix)) == prefix
    query = select(training_jobs).where(columns.status.in_(statuses), begins)
    return [_job(row) for row in connection.execute(query.order_by(columns.number))]


def change_within(
    connection: Connection, name: str, change: Callable[[TrainingJob], TrainingJob | None]
) -> TrainingJob | None:
    """`TrainingJobs.change` as a part of a transaction."""
    job = _find(connection, name)
    changed = change(job) if job is not None else None
    if changed is not None:
        connection.execute(
            update(training_jobs)
            .where(training_jobs.c.number == changed.number)
            .values(_columns(changed))
        )
    return changed


def _find(connection: Connection, name: str) -> TrainingJob | None:
    query = select(training_jobs).where(training_jobs.c.name == name)
    row = connection.execute(query).one_or_none()
    return None if row is None else _job(row)


def _columns(job: TrainingJob) -> dict[str, Any]:
    values = {
        field.name: getattr(job, field.name)
        for field in dataclasses.fields(job)
        if field.name != "number"
    }
    for name in ("request", "updates", "log_offsets"):
        values[name] = json.dumps(values[name])
    values["transitions"] = json.dumps([dataclasses.astuple(one) for one in job.transitions])
    values["final_metrics"] = json.dumps(
        {name: dataclasses.astuple(metric) for name, metric in job.final_metrics.items()}
    )
    values["launched"] = int(job.launched)
    trial = job.trial
    values["trial"] = None if trial is None else json.dumps(dataclasses.asdict(trial))
    values["tuning_number"] = None if trial is None else trial.tuning_number
    values["trial_number"] = None if trial is None else trial.number
    return values


def _job(row: Row[Any]) -> TrainingJob:
    values = dict(row._mapping)
    del values["tuning_number"], values["trial_number"]
    for name in ("request", "updates", "log_offsets"):
        values[name] = json.loads(values[name])
    values["transitions"] = tuple(Transition(*one) for one in json.loads(values["transitions"]))
    values["final_metrics"] = read_final_metrics(values["final_metrics"])
    values["launched"] = bool(values["launched"])
    if values["trial"] is not None:
        values["trial"] = read_trial_of(values["trial"])
    return TrainingJob(**values)
