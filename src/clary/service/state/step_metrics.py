"""SageMaker Metrics: values by step, of a resource such as an experiment's trial component."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import insert, select

from clary.service.state.database import Database
from clary.service.state.tables import step_metrics


@dataclass(frozen=True)
class StepValue:
    """One value; `step` is None when its sender counted none."""

    name: str
    timestamp_ms: int
    step: int | None
    value: float


class StepMetrics:
    """The stored values. Any thread may call any method."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, resource: str, values: Iterable[StepValue]) -> None:
        """Store values.

        Raises:
            StorageError: the database cannot be written.
        """
        rows = [
            {
                "resource": resource,
                "name": value.name,
                "timestamp_ms": value.timestamp_ms,
                "step": value.step,
                "value": value.value,
            }
            for value in values
        ]
        with self._database.writing() as connection:
            connection.execute(insert(step_metrics), rows)

    def values(self, resource: str, name: str) -> list[StepValue]:
        """All values of a metric, in the order of their times.

        Raises:
            StorageError: the database cannot be read.
        """
        columns = step_metrics.c
        query = (
            select(columns.name, columns.timestamp_ms, columns.step, columns.value)
            .where(columns.resource == resource, columns.name == name)
            .order_by(columns.timestamp_ms)
        )
        with self._database.reading() as connection:
            return [StepValue(*row) for row in connection.execute(query)]
