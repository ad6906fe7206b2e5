"""Tuning jobs' trials in short, and the objective as each of them emitted it.

A tuning job is looked at often and may have thousands of trials: what is read here is read
without their requests.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    insert,
    or_,
    select,
    tuple_,
)

from clary.service.state.database import Database
from clary.service.state.tables import objective_values, training_jobs
from clary.service.state.training_jobs import (
    ACTIVE,
    FinalMetric,
    TrialOf,
    read_final_metrics,
    read_trial_of,
)

TrialOrder = Literal["Name", "CreationTime"]

_JOBS = training_jobs.c
_VALUES = objective_values.c
_ORDERS: Mapping[TrialOrder, tuple[ColumnElement[Any], ...]] = {
    "Name": (_JOBS.name,),
    "CreationTime": (_JOBS.created_ms, _JOBS.name),
}


@dataclass(frozen=True)
class TrialSummary:
    """What a tuning job needs to know of one of its training jobs. Times are milliseconds."""

    name: str
    arn: str
    status: str
    secondary: str
    created_ms: int
    started_ms: int | None
    running_ms: int | None
    ended_ms: int | None
    failure: str | None
    final_metrics: Mapping[str, FinalMetric]
    trial: TrialOf

    @property
    def active(self) -> bool:
        """Whether the supervisor still has something to do for it."""
        return self.status in ACTIVE


class Emission(NamedTuple):
    """The objective as a host said it, NaN where that was no finite number."""

    host: str
    value: float


class TrialValue(NamedTuple):
    """One point of a trial's curve; `id` grows from the first that was stored to the last."""

    id: int
    trial: int
    value: float


class Trials:
    """The trials among the stored training jobs. Any thread may call any method."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def of(
        self, tuning_number: int, after: int = 0, among: Collection[int] = ()
    ) -> list[TrialSummary]:
        """The trials of a tuning job, in the order of their numbers.

        Args:
            tuning_number: the tuning job's.
            after: only trials with higher numbers than this,
            among: and those with one of these.

        Raises:
            StorageError: the database cannot be read.
        """
        query = (
            _summaries(tuning_number)
            .where(or_(_JOBS.trial_number > after, _JOBS.trial_number.in_(among)))
            .order_by(_JOBS.trial_number)
        )
        return self._read(query)

    def page(
        self,
        tuning_number: int,
        order: TrialOrder,
        size: int,
        after: Sequence[Any] | None = None,
        *,
        status: str | None = None,
        descending: bool = False,
    ) -> list[TrialSummary]:
        """Some trials of a tuning job, sorted by their names or creation times.

        Args:
            tuning_number: the tuning job's.
            order: by what they are sorted.
            size: at most so many.
            after: the `place` of the trial before the first one.
            status: only trials in this status.
            descending: whether the last place comes first.

        Raises:
            StorageError: the database cannot be read.
        """
        columns = _ORDERS[order]
        query = _summaries(tuning_number).limit(size)
        query = query.order_by(*(one.desc() if descending else one for one in columns))
        if status is not None:
            query = query.where(_JOBS.status == status)
        if after is not None:
            here, last = tuple_(*columns), tuple_(*after)
            query = query.where(here < last if descending else here > last)
        return self._read(query)

    def values(self, tuning_number: int, since: int = 0) -> list[TrialValue]:
        """The objective of all trials of a tuning job as it was emitted, in that order.

        Args:
            tuning_number: the tuning job's.
            since: only what has a higher id.

        Raises:
            StorageError: the database cannot be read.
        """
        query = (
            select(_VALUES.id, _JOBS.trial_number, _VALUES.value)
            .join_from(training_jobs, objective_values, _VALUES.job == _JOBS.number)
            .where(_JOBS.tuning_number == tuning_number, _VALUES.id > since)
            .order_by(_VALUES.id)
        )
        with self._database.reading() as connection:
            return [
                TrialValue(number, trial, math.nan if value is None else value)
                for number, trial, value in connection.execute(query)
            ]

    def _read(self, query: Select[Any]) -> list[TrialSummary]:
        with self._database.reading() as connection:
            return [_summary(row) for row in connection.execute(query)]


def place(trial: TrialSummary, order: TrialOrder) -> tuple[Any, ...]:
    """Where a trial stands among the others, as `Trials.page` sorts them."""
    return (trial.name,) if order == "Name" else (trial.created_ms, trial.name)


def add_values_within(connection: Connection, job: int, emissions: Iterable[Emission]) -> None:
    """Store what a training job said of its objective, as a part of a transaction.

    The hosts of one job say the same: the first one to say anything gives the curve.

    Args:
        connection: the transaction's.
        job: the training job's number.
        emissions: in the order in which they came.
    """
    new = list(emissions)
    if not new:
        return
    known = select(_VALUES.host).where(_VALUES.job == job).order_by(_VALUES.id).limit(1)
    host = connection.execute(known).scalar() or new[0].host
    rows = [
        {
            "job": job,
            "host": host,
            "value": one.value if math.isfinite(one.value) else None,
        }
        for one in new
        if one.host == host
    ]
    if rows:
        connection.execute(insert(objective_values), rows)


_COLUMNS = [
    _JOBS[name]
    for name in (
        "name",
        "arn",
        "status",
        "secondary",
        "created_ms",
        "started_ms",
        "running_ms",
        "ended_ms",
        "failure",
        "final_metrics",
        "trial",
    )
]


def _summaries(tuning_number: int) -> Select[Any]:
    return select(*_COLUMNS).where(_JOBS.tuning_number == tuning_number)


def _summary(row: Row[Any]) -> TrialSummary:
    *plain, metrics, trial = tuple(row)
    values = [*plain, read_final_metrics(metrics), read_trial_of(trial)]
    return TrialSummary(*values)
