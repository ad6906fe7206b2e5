"""Replicas as they are stored: the instances behind endpoints, each of them one process tree."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, delete, select

from clary.service.state.database import Database
from clary.service.state.records import Records
from clary.service.state.tables import replicas

STARTING, SERVING, DRAINING, ENDED = "Starting", "Serving", "Draining", "Ended"
# The statuses of replicas that have a process, or are about to.
LIVING = (STARTING, SERVING, DRAINING)
# Of each endpoint; one that keeps dying has a new one every minute.
ENDED_KEPT = 100


@dataclass(frozen=True)
class ReplicaRecord:
    """One instance of a variant. Times are milliseconds since 1970.

    `endpoint` is the endpoint's number, `fleet` the fleet of it. `instance` is as EC2 would call
    it (`i-…`). `port` is where it takes requests on loopback, once it serves. An instance that has
    ended is never started again.
    """

    endpoint: int
    fleet: int
    variant: str
    instance: str
    created_ms: int
    status: str = STARTING
    shadow: bool = False
    port: int | None = None
    ready_ms: int | None = None
    ended_ms: int | None = None
    failure: str | None = None
    number: int = 0

    @property
    def living(self) -> bool:
        """Whether it has a process, or is about to."""
        return self.status in LIVING


class Replicas(Records[ReplicaRecord]):
    """The stored replicas. Any thread may call any method."""

    def __init__(self, database: Database) -> None:
        super().__init__(database, replicas, ReplicaRecord, {})

    def add(self, replica: ReplicaRecord) -> ReplicaRecord:
        """Store a new replica; it with its number. Only the last that have ended are kept.

        Raises:
            StorageError: the database cannot be written.
        """
        columns = replicas.c
        ended = (columns.endpoint == replica.endpoint) & (columns.status == ENDED)
        newest = select(columns.number).where(ended).order_by(columns.number.desc())
        with self._database.writing() as connection:
            stored = self.add_within(connection, replica)
            last = connection.execute(newest.offset(ENDED_KEPT).limit(1)).scalar()
            if last is not None:
                connection.execute(delete(replicas).where(ended, columns.number <= last))
        self.touched()
        return stored

    def change(
        self, number: int, change: Callable[[ReplicaRecord], ReplicaRecord | None]
    ) -> ReplicaRecord | None:
        """`Records.change_numbered`.

        Raises:
            StorageError: the database cannot be written.
        """
        return self.change_numbered(number, change)

    def find(self, instance: str) -> ReplicaRecord | None:
        """A replica by its instance.

        Raises:
            StorageError: the database cannot be read.
        """
        with self._database.reading() as connection:
            return self.find_within(connection, replicas.c.instance == instance)

    def remove(self, number: int) -> None:
        """Forget a replica, by its number.

        Raises:
            StorageError: the database cannot be written.
        """
        with self._database.writing() as connection:
            connection.execute(delete(replicas).where(replicas.c.number == number))
        self.touched()

    def select(
        self, statuses: Sequence[str] = (), endpoint: int | None = None
    ) -> list[ReplicaRecord]:
        """All replicas, or those in one of `statuses` and of an endpoint, the oldest first.

        Raises:
            StorageError: the database cannot be read.
        """
        where: list[ColumnElement[bool]] = []
        if statuses:
            where.append(replicas.c.status.in_(statuses))
        if endpoint is not None:
            where.append(replicas.c.endpoint == endpoint)
        with self._database.reading() as connection:
            return self.select_within(connection, *where)
