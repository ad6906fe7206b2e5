"""CloudWatch's log groups, and which file holds a stream."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, delete, func, select
from sqlalchemy.dialects.sqlite import insert

from clary.service.state.database import Database
from clary.service.state.tables import log_groups, log_streams


@dataclass(frozen=True)
class LogGroup:
    """A log group; it keeps its streams forever when `retention_days` is None."""

    name: str
    created_ms: int
    retention_days: int | None


@dataclass(frozen=True)
class LogStream:
    """A stream and its file (`clary.formats.log_file`)."""

    group: str
    name: str
    path: Path
    created_ms: int


class LogStreams:
    """The stored groups and streams. Any thread may call any method."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add_group(self, name: str, created_ms: int) -> bool:
        """Make a group; False when it is there.

        Raises:
            StorageError: the database cannot be written.
        """
        with self._database.writing() as connection:
            return _add_group(connection, name, created_ms)

    def groups(self, prefix: str = "", contains: str = "", after: str = "") -> list[LogGroup]:
        """Groups by name, those after `after`.

        Raises:
            StorageError: the database cannot be read.
        """
        query = select(log_groups).where(log_groups.c.name > after).order_by(log_groups.c.name)
        with self._database.reading() as connection:
            found = [LogGroup(*row) for row in connection.execute(query)]
        return [
            group
            for group in found
            if group.name.startswith(prefix) and contains.lower() in group.name.lower()
        ]

    def has_group(self, name: str) -> bool:
        """Whether there is such a group.

        Raises:
            StorageError: the database cannot be read.
        """
        query = select(log_groups.c.name).where(log_groups.c.name == name)
        with self._database.reading() as connection:
            return connection.execute(query).first() is not None

    def set_retention(self, name: str, days: int | None) -> bool:
        """Say how long a group keeps its events; False when there is no such group.

        Raises:
            StorageError: the database cannot be written.
        """
        statement = log_groups.update().where(log_groups.c.name == name)
        with self._database.writing() as connection:
            return connection.execute(statement.values(retention_days=days)).rowcount == 1

    def remove_group(self, name: str) -> list[LogStream] | None:
        """Remove a group and give the streams that went with it; None when there is no such group.

        Raises:
            StorageError: the database cannot be written.
        """
        with self._database.writing() as connection:
            streams = connection.execute(select(log_streams).where(log_streams.c.log_group == name))
            found = [_stream(*row) for row in streams]
            gone = connection.execute(delete(log_groups).where(log_groups.c.name == name))
            return found if gone.rowcount else None

    def add_stream(self, stream: LogStream) -> bool:
        """Make a stream, and its group if need be; False when the stream is there.

        Raises:
            StorageError: the database cannot be written.
        """
        with self._database.writing() as connection:
            return add_within(connection, stream)

    def stream(self, group: str, name: str) -> LogStream | None:
        """A stream by its name.

        Raises:
            StorageError: the database cannot be read.
        """
        query = select(log_streams).where(
            log_streams.c.log_group == group, log_streams.c.name == name
        )
        with self._database.reading() as connection:
            row = connection.execute(query).one_or_none()
        return None if row is None else _stream(*row)

    def streams(self, group: str, prefix: str = "") -> list[LogStream]:
        """A group's streams by name.

        Raises:
            StorageError: the database cannot be read.
        """
        name = log_streams.c.name
        # A range, so that the index is used; no name begins with what comes after all prefixes.
        query = (
            select(log_streams)
            .where(log_streams.c.log_group == group, name >= prefix)
            .where(func.substr(name, 1, len(prefix)) == prefix)
            .order_by(name)
        )
        if prefix:
            query = query.where(name < prefix + "\U0010ffff")
        with self._database.reading() as connection:
            return [_stream(*row) for row in connection.execute(query)]

    def remove_stream(self, group: str, name: str) -> LogStream | None:
        """Remove a stream and give what it was; None when there is no such stream.

        Raises:
            StorageError: the database cannot be written.
        """
        chosen = (log_streams.c.log_group == group) & (log_streams.c.name == name)
        with self._database.writing() as connection:
            row = connection.execute(select(log_streams).where(chosen)).one_or_none()
            connection.execute(delete(log_streams).where(chosen))
        return None if row is None else _stream(*row)


def add_within(connection: Connection, stream: LogStream) -> bool:
    """`LogStreams.add_stream` as a part of a transaction."""
    _add_group(connection, stream.group, stream.created_ms)
    added = connection.execute(
        insert(log_streams)
        .values(
            log_group=stream.group,
            name=stream.name,
            path=str(stream.path),
            created_ms=stream.created_ms,
        )
        .on_conflict_do_nothing()
    )
    return added.rowcount == 1


def remove_prefix_within(connection: Connection, group: str, prefix: str) -> None:
    """Remove the streams of a group that begin with `prefix`, as a part of a transaction."""
    name = log_streams.c.name
    connection.execute(
        delete(log_streams).where(
            log_streams.c.log_group == group, func.substr(name, 1, len(prefix)) == prefix
        )
    )


def remove_group_within(connection: Connection, group: str) -> None:
    """Remove a group and its streams, as a part of a transaction."""
    connection.execute(delete(log_groups).where(log_groups.c.name == group))


def _add_group(connection: Connection, name: str, created_ms: int) -> bool:
    statement = insert(log_groups).values(name=name, created_ms=created_ms)
    return connection.execute(statement.on_conflict_do_nothing()).rowcount == 1


def _stream(group: str, name: str, path: str, created_ms: int) -> LogStream:
    return LogStream(group, name, Path(path), created_ms)
