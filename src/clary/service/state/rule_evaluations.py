"""Evaluations of rules as they are stored: how each rule of a training job stands."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from clary.formats.rule_request import RuleKind
from clary.service.state.database import Database
from clary.service.state.tables import rule_evaluations
from clary.service.state.training_jobs import TrainingJob

# The statuses of evaluations that go on.
OPEN = ("InProgress", "Stopping")


@dataclass(frozen=True)
class RuleEvaluation:
    """One rule of one training job. Times are milliseconds since 1970.

    On AWS it is a processing job of its own: `name` and `arn` are that job's. `position` is the
    rule's place among those of its kind in the request. `details` is what SageMaker calls
    StatusDetails. `actions` tells what became of each action that the rule took when it fired, by
    the action's place in its list. `job` and `number` are 0 before it is stored.
    """

    name: str
    arn: str
    training_job: str
    kind: RuleKind
    position: int
    configuration: str
    rule: str
    created_ms: int
    modified_ms: int
    status: str = "InProgress"
    details: str = ""
    started_ms: int | None = None
    ended_ms: int | None = None
    actions: Mapping[int, str] = field(default_factory=dict)
    job: int = 0
    number: int = 0

    @property
    def open(self) -> bool:
        """Whether the rule has still something to say."""
        return self.status in OPEN


class RuleEvaluations:
    """The stored evaluations. Any thread may call any method."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def find(self, name: str) -> RuleEvaluation | None:
        """An evaluation by the name of its processing job.

        Raises:
            StorageError: the database cannot be read.
        """
        query = select(rule_evaluations).where(rule_evaluations.c.name == name)
        with self._database.reading() as connection:
            row = connection.execute(query).one_or_none()
        return None if row is None else _evaluation(row)

    def of_job(self, job: int, kind: RuleKind | None = None) -> list[RuleEvaluation]:
        """The evaluations of a training job, in the order of its request.

        Args:
            job: the training job's number.
            kind: only those of a kind.

        Raises:
            StorageError: the database cannot be read.
        """
        with self._database.reading() as connection:
            return of_job_within(connection, job, kind)

    def select(self, statuses: Sequence[str] = ()) -> list[RuleEvaluation]:
        """All evaluations, or those in one of `statuses`, the oldest first.

        Raises:
            StorageError: the database cannot be read.
        """
        query = select(rule_evaluations).order_by(rule_evaluations.c.number)
        if statuses:
            query = query.where(rule_evaluations.c.status.in_(statuses))
        with self._database.reading() as connection:
            return [_evaluation(row) for row in connection.execute(query)]

    def with_outcome(self, outcome: str) -> list[RuleEvaluation]:
        """The evaluations of which an action has come to `outcome`, the oldest first.

        Raises:
            StorageError: the database cannot be read.
        """
        columns = rule_evaluations.c
        has = columns.actions.contains(json.dumps(outcome), autoescape=True)
        query = select(rule_evaluations).where(has).order_by(columns.number)
        with self._database.reading() as connection:
            found = [_evaluation(row) for row in connection.execute(query)]
        return [one for one in found if outcome in one.actions.values()]

    def change(
        self, number: int, change: Callable[[RuleEvaluation], RuleEvaluation | None]
    ) -> RuleEvaluation | None:
        """Replace an evaluation by what `change` makes of it, in one transaction.

        Gives the new one; None when there is no such evaluation or `change` gave None.

        Raises:
            StorageError: the database cannot be written.
        """
        with self._database.writing() as connection:
            return change_within(connection, number, change)


def add_within(
    connection: Connection, job: TrainingJob, evaluations: Iterable[RuleEvaluation]
) -> None:
    """Store the evaluations of a job that is stored, as a part of a transaction."""
    for one in evaluations:
        values = _columns(dataclasses.replace(one, job=job.number))
        connection.execute(insert(rule_evaluations).values(values))


def of_job_within(
    connection: Connection, job: int, kind: RuleKind | None = None
) -> list[RuleEvaluation]:
    """`RuleEvaluations.of_job` as a part of a transaction."""
    columns = rule_evaluations.c
    query = select(rule_evaluations).where(columns.job == job).order_by(columns.number)
    if kind is not None:
        query = query.where(columns.kind == kind)
    return [_evaluation(row) for row in connection.execute(query)]


def change_within(
    connection: Connection,
    number: int,
    change: Callable[[RuleEvaluation], RuleEvaluation | None],
) -> RuleEvaluation | None:
    """`RuleEvaluations.change` as a part of a transaction."""
    query = select(rule_evaluations).where(rule_evaluations.c.number == number)
    row = connection.execute(query).one_or_none()
    changed = None if row is None else change(_evaluation(row))
    if changed is not None:
        chosen = rule_evaluations.c.number == number
        connection.execute(update(rule_evaluations).where(chosen).values(_columns(changed)))
    return changed


def _columns(evaluation: RuleEvaluation) -> dict[str, Any]:
    values = {
        field.name: getattr(evaluation, field.name)
        for field in dataclasses.fields(evaluation)
        if field.name != "number"
    }
    values["actions"] = json.dumps(evaluation.actions)
    return values


def _evaluation(row: Row[Any]) -> RuleEvaluation:
    values = dict(row._mapping)
    values["actions"] = {
        int(place): outcome for place, outcome in json.loads(values["actions"]).items()
    }
    return RuleEvaluation(**values)
