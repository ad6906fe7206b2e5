"""Tuning jobs as they are stored."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select, update

from clary.service.state.database import Database
from clary.service.state.tables import tuning_jobs

ACTIVE = ("InProgress", "Stopping")


@dataclass(frozen=True)
class Ending:
    """Why a tuning job begins no more trials.

    `reason` is a word of `clary.tuner.completion`, `sentence` says it to people.
    """

    reason: str
    sentence: str
    at_ms: int


@dataclass(frozen=True)
class TuningJob:
    """One hyperparameter tuning job. Times are milliseconds since 1970.

    `request` is CreateHyperParameterTuningJob's, with what Clary filled in; its tags are stored as
    tags. `phase` is finer than `status`: a job in progress searches, or waits for its last trials.
    `trials` counts the trials that were ever begun, so that no number is given twice; `number`
    counts tuning jobs in the order of their creation, 0 before a job is stored. `parents` are the
    numbers of those that it is warm started from.
    """

    name: str
    arn: str
    request: Mapping[str, Any]
    status: str
    phase: str
    created_ms: int
    modified_ms: int
    ended_ms: int | None = None
    trials: int = 0
    completion: Ending | None = None
    failure: str | None = None
    parents: tuple[int, ...] = ()
    number: int = 0

    @property
    def active(self) -> bool:
        """Whether the supervisor still has something to do for it."""
        return self.status in ACTIVE


class TuningJobs:
    """The stored tuning jobs. Any thread may call any method."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, job: TuningJob, tags: Callable[[Connection], None]) -> TuningJob | None:
        """Store a new job, and its tags with it; give the one that bears its name already, if any.

        Raises:
            StorageError: the database cannot be written.
        """
        with self._database.writing() as connection:
            earlier = find_within(connection, job.name)
            if earlier is None:
                connection.execute(insert(tuning_jobs).values(_columns(job)))
                tags(connection)
            return earlier

    def find(self, name: str) -> TuningJob | None:
        """A job by its name.

        Raises:
            StorageError: the database cannot be read.
        """
        with self._database.reading() as connection:
            return find_within(connection, name)

    def select(self, statuses: Sequence[str] = ()) -> list[TuningJob]:
        """All jobs, or those in one of `statuses`, the oldest first.

        Raises:
            StorageError: the database cannot be read.
        """
        query = select(tuning_jobs).order_by(tuning_jobs.c.number)
        if statuses:
            query = query.where(tuning_jobs.c.status.in_(statuses))
        with self._database.reading() as connection:
            return [_job(row) for row in connection.execute(query)]

    def change(
        self, name: str, change: Callable[[TuningJob], TuningJob | None]
    ) -> TuningJob | None:
        """Replace a job by what `change` makes of it, in one transaction.

        Gives the new job; None when there is no such job or `change` gave None.

        Raises:
            StorageError: the database cannot be written.
        """
        with self._database.writing() as connection:
            return change_within(connection, name, change)

    def remove(
        self,
        name: str,
        allowed: Callable[[TuningJob], bool],
        also: Callable[[Connection, TuningJob], None],
    ) -> bool:
        """Forget a job that `allowed` lets go, and what `also` removes; whether it was forgotten.

        Raises:
            StorageError: the database cannot be written.
        """
        with self._database.writing() as connection:
            job = find_within(connection, name)
            if job is None or not allowed(job):
                return False
            connection.execute(delete(tuning_jobs).where(tuning_jobs.c.number == job.number))
            also(connection, job)
            return True


def find_within(connection: Connection, name: str) -> TuningJob | None:
    """`TuningJobs.find` as a part of a transaction."""
    row = connection.execute(select(tuning_jobs).where(tuning_jobs.c.name == name)).one_or_none()
    return None if row is None else _job(row)


def change_within(
    connection: Connection, name: str, change: Callable[[TuningJob], TuningJob | None]
) -> TuningJob | None:
    """`TuningJobs.change` as a part of a transaction."""
    job = find_within(connection, name)
    changed = change(job) if job is not None else None
    if changed is not None:
        connection.execute(
            update(tuning_jobs)
            .where(tuning_jobs.c.number == changed.number)
            .values(_columns(changed))
        )
    return changed


def _columns(job: TuningJob) -> dict[str, Any]:
    values = {
        field.name: getattr(job, field.name)
        for field in dataclasses.fields(job)
        if field.name != "number"
    }
    values["request"] = json.dumps(job.request)
    values["parents"] = json.dumps(job.parents)
    if job.completion is not None:
        values["completion"] = json.dumps(dataclasses.astuple(job.completion))
    return values


def _job(row: Row[Any]) -> TuningJob:
    values = dict(row._mapping)
    values["request"] = json.loads(values["request"])
    values["parents"] = tuple(json.loads(values["parents"]))
    if values["completion"] is not None:
        values["completion"] = Ending(*json.loads(values["completion"]))
    return TuningJob(**values)
