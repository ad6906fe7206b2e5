"""One SQLite file behind SQLAlchemy: opened, checked, brought to today's schema."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DatabaseError, OperationalError

from clary.errors import StorageError
from clary.formats.files import storage_errors
from clary.service.state.migrations import MIGRATIONS

_BUSY_TIMEOUT_S = 30
# Checking reads the whole file: about 0.1 s at this size.
_CHECK_LIMIT_BYTES = 64 << 20
_FULL = "database or disk is full"


class Database:
    """The file of the service's state. Any thread may read and write; close it once at the end.

    Owned by `State`. Readers never wait; writers take turns.
    """

    def __init__(self, path: Path) -> None:
        """Open the file, or make it.

        Raises:
            StorageError: it is damaged, was made by a later Clary, or cannot be written.
        """
        self.path = path
        self._writer = threading.Lock()
        with storage_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        self._engine = _engine(path)
        try:
            with self._said_plainly():
                self._check()
                self._migrate()
        except StorageError:
            self.close()
            raise

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """One consistent view.

        Raises:
            StorageError: the file is damaged.
        """
        with self._said_plainly(), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """One transaction: what the block reads stays true until it ends; all of it or nothing.

        Raises:
            StorageError: the file is damaged, or the disk is full.
        """
        immediate = self._engine.execution_options(begin_immediate=True)
        with self._writer, self._said_plainly(), immediate.begin() as connection:
            yield connection

    def _check(self) -> None:
        large = self.path.exists() and self.path.stat().st_size > _CHECK_LIMIT_BYTES
        pragma = "PRAGMA schema_version" if large else "PRAGMA quick_check(1)"
        with self._engine.begin() as connection:
            answer = connection.exec_driver_sql(pragma).scalar()
        if not large and answer != "ok":
            raise self._damaged(str(answer).splitlines()[-1])

    def _migrate(self) -> None:
        with self.writing() as connection:
            done = int(connection.exec_driver_sql("PRAGMA user_version").scalar() or 0)
            if done > len(MIGRATIONS):
                raise StorageError(
                    f"{self.path} has schema {done} and this Clary knows up to "
                    f"{len(MIGRATIONS)}: install the Clary that made it, or a later one"
                )
            for statements in MIGRATIONS[done:]:
                for statement in statements:
                    connection.exec_driver_sql(statement)
            if done < len(MIGRATIONS):
                connection.exec_driver_sql(f"PRAGMA user_version = {len(MIGRATIONS)}")

    @contextmanager
    def _said_plainly(self) -> Iterator[None]:
        try:
            yield
        except OperationalError as error:
            reason = str(error.orig)
            if _FULL in reason:
                message = f"the disk is full while writing {self.path}: free some space"
            else:
                message = f"{self.path} cannot be used ({reason}): see to its folder and its rights"
            raise StorageError(message) from error
        except DatabaseError as error:
            # Its subclasses, such as IntegrityError, are the caller's business.
            if type(error) is not DatabaseError:
                raise
            raise self._damaged(str(error.orig)) from error

    def _damaged(self, reason: str) -> StorageError:
        return StorageError(
            f"{self.path} is damaged ({reason}) and is left as it is: put a copy back, or move it "
            "away to start with no jobs; buckets and job folders stay"
        )


def _engine(path: Path) -> Engine:
    engine = create_engine(
        f"sqlite:///{path}",
        connect_args={"timeout": _BUSY_TIMEOUT_S, "check_same_thread": False},
        pool_size=8,
        max_overflow=64,
    )

    @event.listens_for(engine, "connect")
    def _prepare(connection: sqlite3.Connection, _record: Any) -> None:
        # The driver's own transactions begin too late to keep what was read true.
        connection.isolation_level = None
        for pragma in ("journal_mode = WAL", "synchronous = NORMAL", "foreign_keys = ON"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        immediate = connection.get_execution_options().get("begin_immediate")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")

    return engine
