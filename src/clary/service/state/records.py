"""A table of numbered records, each of them a frozen dataclass: what such tables have in common."""

from __future__ import annotations

import dataclasses
import json
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, Protocol, TypeVar

from sqlalchemy import ColumnElement, Connection, Row, Table, delete, insert, select, update

from clary.service.state import tags
from clary.service.state.database import Database


class Numbered(Protocol):
    """A record whose `number` counts those of its kind as they are created, 0 before it is stored.

    No number is given twice.
    """

    @property
    def number(self) -> int:
        """Its place in the order of creation."""


class Named(Numbered, Protocol):
    """A record whose name no other of its kind bears. Its tags are kept under its ARN."""

    @property
    def name(self) -> str:
        """What it is called."""

    @property
    def arn(self) -> str:
        """What it is called among all resources."""


R = TypeVar("R", bound=Numbered)
N = TypeVar("N", bound=Named)


class Records(Generic[R]):
    """The stored records of one kind. Any thread may call any method.

    A field is a column of its name. `structured` names the columns that hold JSON, and how what
    was read of one becomes the field's value.
    """

    def __init__(
        self,
        database: Database,
        table: Table,
        kind: Callable[..., R],
        structured: Mapping[str, Callable[[Any], Any]],
    ) -> None:
        self._database = database
        self._table = table
        self._kind = kind
        self._structured = structured
        self._counting = threading.Lock()
        self._version = 0
        self._listeners: list[Callable[[], None]] = []

    @property
    def version(self) -> int:
        """A number that has grown once a change can be read: who keeps what it read compares it."""
        return self._version

    def touched(self) -> None:
        """Let `version` grow, after a change that was made in a transaction of somebody else's."""
        with self._counting:
            self._version += 1
        for listener in self._listeners:
            listener()

    def listen(self, listener: Callable[[], None]) -> None:
        """Have a function called after each change, by whoever made it: it must return at once."""
        self._listeners.append(listener)

    def get(self, number: int) -> R | None:
        """A record by its number.

        Raises:
            StorageError: the database cannot be read.
        """
        with self._database.reading() as connection:
            return self.find_within(connection, self._table.c.number == number)

    def change_numbered(self, number: int, change: Callable[[R], R | None]) -> R | None:
        """Replace a record by what `change` makes of it, in one transaction.

        Gives the new record; None when there is no such record or `change` gave None.

        Raises:
            StorageError: the database cannot be written.
        """
        with self._database.writing() as connection:
            changed = self.change_within(connection, self._table.c.number == number, change)
        if changed is not None:
            self.touched()
        return changed

    def add_within(self, connection: Connection, record: R) -> R:
        """Store a new record as a part of a transaction; the record with its number."""
        query = insert(self._table).values(self._columns(record)).returning(self._table.c.number)
        number = connection.execute(query).scalar_one()
        return dataclasses.replace(record, number=number)  # type: ignore[type-var]

    def find_within(self, connection: Connection, where: ColumnElement[bool]) -> R | None:
        """The one record of which `where` is true, as a part of a transaction."""
        row = connection.execute(select(self._table).where(where)).one_or_none()
        return None if row is None else self._record(row)

    def select_within(
        self, connection: Connection, *where: ColumnElement[bool], limit: int | None = None
    ) -> list[R]:
        """The records of which all of `where` is true, the oldest first, at most `limit`."""
        query = select(self._table).where(*where).order_by(self._table.c.number).limit(limit)
        return [self._record(row) for row in connection.execute(query)]

    def change_within(
        self,
        connection: Connection,
        where: ColumnElement[bool],
        change: Callable[[R], R | None],
    ) -> R | None:
        """Replace the one record of which `where` is true, as a part of a transaction."""
        record = self.find_within(connection, where)
        changed = change(record) if record is not None else None
        if changed is not None:
            chosen = self._table.c.number == changed.number
            connection.execute(update(self._table).where(chosen).values(self._columns(changed)))
        return changed

    def _columns(self, record: R) -> dict[str, Any]:
        values = {
            field.name: getattr(record, field.name)
            for field in dataclasses.fields(record)  # type: ignore[arg-type]
            if field.name != "number"
        }
        for name in self._structured:
            if values[name] is not None:
                values[name] = json.dumps(values[name], default=dataclasses.asdict)
        return values

    def _record(self, row: Row[Any]) -> R:
        values = dict(row._mapping)
        for name, read in self._structured.items():
            if values[name] is not None:
                values[name] = read(json.loads(values[name]))
        return self._kind(**values)


class NamedRecords(Records[N]):
    """The stored records of one kind that have names. Any thread may call any method."""

    def add(self, record: N, also: Callable[[Connection, N], None] | None = None) -> N | None:
        """Store a new record, and what `also` adds to it; give the one of its name, if any.

        Raises:
            StorageError: the database cannot be written.
        """
        with self._database.writing() as connection:
            earlier = self.find_within(connection, self._named(record.name))
            if earlier is not None:
                return earlier
            stored = self.add_within(connection, record)
            if also is not None:
                also(connection, stored)
        self.touched()
        return None

    def create(self, record: N, tagged: Mapping[str, str]) -> N | None:
        """Store a new record with its tags; give the one of its name, if there is one.

        Raises:
            StorageError: the database cannot be written.
        """

        def tag(connection: Connection, stored: N) -> None:
            tags.add_within(connection, stored.arn, tagged)

        return self.add(record, tag)

    def forget(self, name: str) -> bool:
        """Remove a record and its tags; whether there was one.

        Raises:
            StorageError: the database cannot be written.
        """

        def untag(connection: Connection, record: N) -> None:
            tags.remove_all_within(connection, record.arn)

        return self.remove(name, also=untag) is not None

    def find(self, name: str) -> N | None:
        """A record by its name.

        Raises:
            StorageError: the database cannot be read.
        """
        with self._database.reading() as connection:
            return self.find_within(connection, self._named(name))

    def select(self, statuses: Sequence[str] = ()) -> list[N]:
        """All records, or those in one of `statuses`, the oldest first.

        Raises:
            StorageError: the database cannot be read.
        """
        where = [self._table.c.status.in_(statuses)] if statuses else []
        with self._database.reading() as connection:
            return self.select_within(connection, *where)

    def change(self, name: str, change: Callable[[N], N | None]) -> N | None:
        """Replace a record by what `change` makes of it, in one transaction.

        Gives the new record; None when there is no such record or `change` gave None. What
        `change` raises leaves everything as it was.

        Raises:
            StorageError: the database cannot be written.
        """
        with self._database.writing() as connection:
            changed = self.change_within(connection, self._named(name), change)
        if changed is not None:
            self.touched()
        return changed

    def remove(
        self,
        name: str,
        allowed: Callable[[N], bool] = lambda record: True,
        also: Callable[[Connection, N], None] | None = None,
    ) -> N | None:
        """Forget a record that `allowed` lets go, and what `also` removes; what was forgotten.

        Raises:
            StorageError: the database cannot be written.
        """
        with self._database.writing() as connection:
            record = self.find_within(connection, self._named(name))
            if record is None or not allowed(record):
                return None
            chosen = self._table.c.number == record.number
            connection.execute(delete(self._table).where(chosen))
            if also is not None:
                also(connection, record)
        self.touched()
        return record

    def _named(self, name: str) -> ColumnElement[bool]:
        return self._table.c.name == name
