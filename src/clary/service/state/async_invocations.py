"""Asynchronous invocations as they are stored, until they have been answered."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, select

from clary.service.state.database import Database
from clary.service.state.records import Records
from clary.service.state.tables import async_invocations

WAITING, RUNNING = "Waiting", "Running"


@dataclass(frozen=True)
class AsyncRecord:
    """One asynchronous invocation. Times are milliseconds since 1970.

    `endpoint` is the endpoint's name, `endpoint_number` tells it from one that bore the name
    before. `variant` is the one that was asked for, if any; `request` is what else was asked.
    `attempts` counts how often a replica was asked: a service that was killed asks again, and so
    is done where a replica went away over it.
    """

    id: str
    endpoint: str
    endpoint_number: int
    variant: str | None
    request: Mapping[str, Any]
    created_ms: int
    expires_ms: int
    status: str = WAITING
    started_ms: int | None = None
    attempts: int = 0
    number: int = 0


@dataclass(frozen=True)
class AsyncTicket:
    """What is kept in memory of an asynchronous invocation that waits: all but its request."""

    number: int
    endpoint: str
    endpoint_number: int
    expires_ms: int


class AsyncInvocations(Records[AsyncRecord]):
    """The stored asynchronous invocations. Any thread may call any method."""

    def __init__(self, database: Database) -> None:
        super().__init__(database, async_invocations, AsyncRecord, {"request": dict})

    def add(self, invocation: AsyncRecord) -> AsyncRecord:
        """Store a new invocation, of an endpoint that is there; it with its number.

        Raises:
            StorageError: the database cannot be written.
        """
        with self._database.writing() as connection:
            stored = self.add_within(connection, invocation)
        self.touched()
        return stored

    def open(self) -> list[AsyncTicket]:
        """Those that have not been answered, the oldest first.

        Raises:
            StorageError: the database cannot be read.
        """
        columns = async_invocations.c
        query = select(
            columns.number, columns.endpoint, columns.endpoint_number, columns.expires_ms
        ).order_by(columns.number)
        with self._database.reading() as connection:
            return [AsyncTicket(*row) for row in connection.execute(query)]

    def change(
        self, invocation: str, change: Callable[[AsyncRecord], AsyncRecord | None]
    ) -> AsyncRecord | None:
        """Replace an invocation, by its id, by what `change` makes of it, in one transaction.

        Gives the new one; None when there is no such invocation or `change` gave None.

        Raises:
            StorageError: the database cannot be written.
        """
        with self._database.writing() as connection:
            changed = self.change_within(connection, async_invocations.c.id == invocation, change)
        if changed is not None:
            self.touched()
        return changed

    def remove(self, invocation: str) -> None:
        """Forget an invocation, by its id.

        Raises:
            StorageError: the database cannot be written.
        """
        with self._database.writing() as connection:
            chosen = async_invocations.c.id == invocation
            connection.execute(delete(async_invocations).where(chosen))
        self.touched()
