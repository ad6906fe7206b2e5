"""CloudWatch's metrics: values by namespace, name and dimensions."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Select, bindparam, delete, func, insert, literal_column, select
from sqlalchemy.dialects.sqlite import insert as insert_or_update

from clary.service.state.database import Database
from clary.service.state.tables import endpoints, metric_values, metrics


@dataclass(frozen=True)
class Metric:
    """What values belong to. Two metrics are one when name, namespace and dimensions agree."""

    namespace: str
    name: str
    dimensions: Mapping[str, str] = field(default_factory=dict)

    @property
    def key(self) -> tuple[str, str, str]:
        """What the metric is stored under."""
        return self.namespace, self.name, json.dumps(self.dimensions, sort_keys=True)


@dataclass(frozen=True)
class Datum:
    """One value, or the summary of `count` of them."""

    metric: Metric
    timestamp_ms: int
    count: float
    sum: float
    minimum: float
    maximum: float
    unit: str = "None"

    @classmethod
    def of(
        cls, metric: Metric, timestamp_ms: int, value: float, unit: str = "None", count: float = 1.0
    ) -> Datum:
        """A value that was seen `count` times."""
        return cls(metric, timestamp_ms, count, value * count, value, value, unit)


class MetricData:
    """The stored metrics. Any thread may call any method."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, data: Iterable[Datum]) -> None:
        """Store values.

        Raises:
            StorageError: the database cannot be written.
        """
        with self._database.writing() as connection:
            add_within(connection, data)

    def add_of_endpoints(self, data: Mapping[int, Iterable[Datum]]) -> None:
        """Store values of endpoints that are still there; those of others are dropped.

        Args:
            data: by the endpoints' numbers.

        Raises:
            StorageError: the database cannot be written.
        """
        with self._database.writing() as connection:
            there = select(endpoints.c.number).where(endpoints.c.number.in_(data))
            for number in connection.execute(there).scalars().all():
                add_within(connection, data[number])

    def values(
        self, metric: Metric, start_ms: int, end_ms: int, unit: str | None = None
    ) -> list[Datum]:
        """A metric's values in [start, end), by time.

        Raises:
            StorageError: the database cannot be read.
        """
        namespace, name, dimensions = metric.key
        query = (
            select(metric_values)
            .join(metrics, metrics.c.id == metric_values.c.metric)
            .where(
                metrics.c.namespace == namespace,
                metrics.c.name == name,
                metrics.c.dimensions == dimensions,
                metric_values.c.timestamp_ms >= start_ms,
                metric_values.c.timestamp_ms < end_ms,
            )
            # Values of one millisecond stay in the order in which they came.
            .order_by(metric_values.c.timestamp_ms, literal_column("metric_values.rowid"))
        )
        if unit is not None:
            query = query.where(metric_values.c.unit == unit)
        with self._database.reading() as connection:
            return [Datum(metric, *row[1:]) for row in connection.execute(query)]

    def known(
        self,
        namespace: str | None = None,
        name: str | None = None,
        since_ms: int = 0,
        after: int = 0,
    ) -> list[tuple[int, Metric]]:
        """Metrics with their numbers, in the order of the numbers, those after `after`.

        Raises:
            StorageError: the database cannot be read.
        """
        query: Select[Any] = select(metrics).where(
            metrics.c.id > after, metrics.c.last_ms >= since_ms
        )
        if namespace is not None:
            query = query.where(metrics.c.namespace == namespace)
        if name is not None:
            query = query.where(metrics.c.name == name)
        with self._database.reading() as connection:
            return [
                (row.id, Metric(row.namespace, row.name, json.loads(row.dimensions)))
                for row in connection.execute(query.order_by(metrics.c.id))
            ]


def add_within(connection: Connection, data: Iterable[Datum]) -> None:
    """Store values as a part of a transaction."""
    numbers: dict[tuple[str, str, str], int] = {}
    newest: dict[int, int] = {}
    rows = []
    for datum in data:
        key = datum.metric.key
        if key not in numbers:
            numbers[key] = _number(connection, key)
        number = numbers[key]
        newest[number] = max(newest.get(number, 0), datum.timestamp_ms)
        rows.append(
            {
                "metric": number,
                "timestamp_ms": datum.timestamp_ms,
                "count": datum.count,
                "sum": datum.sum,
                "minimum": datum.minimum,
                "maximum": datum.maximum,
                "unit": datum.unit,
            }
        )
    if rows:
        connection.execute(insert(metric_values), rows)
        connection.execute(
            metrics.update()
            .where(metrics.c.id == bindparam("number"))
            .values(last_ms=func.max(metrics.c.last_ms, bindparam("newest"))),
            [{"number": number, "newest": last_ms} for number, last_ms in newest.items()],
        )


def remove_within(connection: Connection, dimension: str, values: Iterable[str]) -> None:
    """Remove the metrics of which a dimension has one of `values`, as a part of a transaction."""
    for value in values:
        key = json.dumps({dimension: value})
        connection.execute(delete(metrics).where(metrics.c.dimensions == key))


def _number(connection: Connection, key: tuple[str, str, str]) -> int:
    namespace, name, dimensions = key
    connection.execute(
        insert_or_update(metrics)
        .values(namespace=namespace, name=name, dimensions=dimensions, last_ms=0)
        .on_conflict_do_nothing()
    )
    query = select(metrics.c.id).where(
        metrics.c.namespace == namespace,
        metrics.c.name == name,
        metrics.c.dimensions == dimensions,
    )
    return int(connection.execute(query).scalar_one())
