"""What is kept beside the files, in SQLite: descriptions of objects, names for listings, uploads.

The files are the truth. A row of `objects` describes the file whose inode, time and size it
names, and nothing else: a file that was replaced by hand has no description, and an overwrite
that was cut off leaves the old file with its old row. Inode 0 stands in rows that know only a
name. `folders` remembers the times of a folder when it was last read.

SQLite is called directly, not through SQLAlchemy: this is on the path of every request. A
connection per thread, which ends with it; writers take turns. The journal is not forced to the
disk at each commit, so a power cut (a kill cannot) may lose the newest descriptions, and never an
object, whose bytes and name were forced to the disk before its put was acknowledged.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from weakref import WeakSet

from clary.errors import StorageError
from clary.formats.files import storage_errors
from clary.object_store.names import successor

# What brings the database from each version to the next one.
_MIGRATIONS = (
    """
CREATE TABLE buckets (
    name TEXT PRIMARY KEY, created_ns INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE objects (
    bucket TEXT NOT NULL, key BLOB NOT NULL,
    inode INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, size INTEGER NOT NULL,
    aside INTEGER NOT NULL, details TEXT,
    PRIMARY KEY (bucket, key, inode)
) WITHOUT ROWID;
CREATE TABLE folders (
    path BLOB PRIMARY KEY, inode INTEGER NOT NULL, mtime_ns INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE uploads (
    id TEXT PRIMARY KEY, bucket TEXT NOT NULL, key BLOB NOT NULL,
    created_ns INTEGER NOT NULL, details TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX uploads_by_key ON uploads (bucket, key, id);
CREATE TABLE parts (
    upload TEXT NOT NULL, number INTEGER NOT NULL,
    file TEXT NOT NULL, offset INTEGER NOT NULL, size INTEGER NOT NULL,
    etag TEXT NOT NULL, checksums TEXT NOT NULL, modified_ns INTEGER NOT NULL,
    PRIMARY KEY (upload, number)
) WITHOUT ROWID;
""",
    """
CREATE TABLE completions (
    upload TEXT PRIMARY KEY, bucket TEXT NOT NULL, key BLOB NOT NULL,
    completed_ns INTEGER NOT NULL, details TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX completions_by_time ON completions (completed_ns);
""",
    # All folders are read once more: what was known of them may hide files.
    """
DROP TABLE folders;
CREATE TABLE folders (
    path BLOB PRIMARY KEY, inode INTEGER NOT NULL, mtime_ns INTEGER NOT NULL,
    ctime_ns INTEGER NOT NULL
) WITHOUT ROWID;
""",
)
VERSION = len(_MIGRATIONS)
_OBJECT = "key, inode, mtime_ns, size, aside, details"


class ObjectRow(NamedTuple):
    """What is known of a file under a key."""

    key: bytes
    inode: int
    mtime_ns: int
    size: int
    aside: bool
    details: str | None


class FolderRow(NamedTuple):
    """A folder as it was when it was last read."""

    path: bytes
    inode: int
    mtime_ns: int
    ctime_ns: int


class UploadRow(NamedTuple):
    """A multipart upload that is under way."""

    id: str
    bucket: str
    key: bytes
    created_ns: int
    details: str


class PartRow(NamedTuple):
    """A part, and where it lies in its upload's folder."""

    number: int
    file: str
    offset: int
    size: int
    etag: str
    checksums: str
    modified_ns: int


class _Held:
    """A thread's connection. The thread's end leaves it to nobody, and closes it."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection

    def __del__(self) -> None:
        self.connection.close()


class Index:
    """The database of one store. Any thread may call; threads that write wait for each other."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._local = threading.local()
        self._held: WeakSet[_Held] = WeakSet()
        self._turn = threading.RLock()
        with storage_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._open()
        except sqlite3.DatabaseError as error:
            self.close()
            raise StorageError(
                f"the index {path} cannot be used ({error}): restore it from a copy, or move it "
                "away; objects stay, their types and metadata would be lost"
            ) from error

    def _open(self) -> None:
        with self.writing() as connection:
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            if version > VERSION:
                raise StorageError(
                    f"the index {self.path} has version {version}, this Clary reads {VERSION}: "
                    "install the later one"
                )
            for migration in _MIGRATIONS[version:]:
                for statement in migration.split(";"):
                    connection.execute(statement)
            if version < VERSION:
                connection.execute(f"PRAGMA user_version = {VERSION}")

    def close(self) -> None:
        """Close the connections of all threads."""
        with self._turn:
            for held in self._held:
                held.connection.close()
            self._held.clear()
            self._local = threading.local()

    @property
    def reading(self) -> sqlite3.Connection:
        """This thread's connection."""
        held: _Held | None = getattr(self._local, "held", None)
        if held is None:
            held = _Held(
                sqlite3.connect(
                    self.path, timeout=30, isolation_level=None, check_same_thread=False
                )
            )
            held.connection.execute("PRAGMA journal_mode = WAL")
            held.connection.execute("PRAGMA synchronous = NORMAL")
            # A service has hundreds of threads; SQLite's 2 MB for each would add up.
            held.connection.execute("PRAGMA cache_size = -256")
            self._local.held = held
            with self._turn:
                self._held.add(held)
        return held.connection

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """A transaction; what the block raises undoes it.

        Raises:
            StorageError: the disk is full or cannot be written.
        """
        connection = self.reading
        with self._turn:
            try:
                connection.execute("BEGIN IMMEDIATE")
                yield connection
                connection.execute("COMMIT")
            except BaseException as error:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                if isinstance(error, sqlite3.OperationalError):
                    raise StorageError(
                        f"{self.path} cannot be written ({error}): is the disk full?"
                    ) from error
                raise

    # Objects ----------------------------------------------------------------------------------

    def rows(self, bucket: str, key: bytes) -> list[ObjectRow]:
        """All that is known under a key."""
        found = self.reading.execute(
            f"SELECT {_OBJECT} FROM objects WHERE bucket = ? AND key = ?", (bucket, key)
        )
        return [ObjectRow._make(row) for row in found]

    def range(self, bucket: str, begin: bytes, end: bytes | None, limit: int) -> list[ObjectRow]:
        """Rows with begin ≤ key < end, in the order of their keys."""
        above = "" if end is None else "AND key < ?"
        found = self.reading.execute(
            f"SELECT {_OBJECT} FROM objects WHERE bucket = ? AND key >= ? {above} "
            "ORDER BY key, inode LIMIT ?",
            (bucket, begin, limit) if end is None else (bucket, begin, end, limit),
        )
        return [ObjectRow._make(row) for row in found]

    def describe(self, bucket: str, row: ObjectRow) -> None:
        """Add or replace the row of one file."""
        with self.writing() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO objects VALUES (?, ?, ?, ?, ?, ?, ?)", (bucket, *row)
            )

    def add_names(self, bucket: str, keys: Iterable[bytes], aside: bool) -> None:
        """Add keys of which nothing is known yet but their names."""
        with self.writing() as connection:
            connection.executemany(
                "INSERT INTO objects SELECT ?1, ?2, 0, 0, 0, ?3, NULL WHERE NOT EXISTS "
                "(SELECT 1 FROM objects WHERE bucket = ?1 AND key = ?2)",
                ((bucket, key, aside) for key in keys),
            )

    def forget(self, bucket: str, rows: Sequence[ObjectRow]) -> None:
        """Remove rows whose files are gone."""
        with self.writing() as connection:
            connection.executemany(
                "DELETE FROM objects WHERE bucket = ? AND key = ? AND inode = ?",
                [(bucket, row.key, row.inode) for row in rows],
            )

    def forget_below(self, bucket: str, prefix: bytes) -> None:
        """Remove what lies at natural paths under a prefix."""
        with self.writing() as connection:
            connection.execute(
                "DELETE FROM objects WHERE bucket = ? AND key >= ? AND key < ? AND NOT aside",
                (bucket, prefix, successor(prefix)),
            )

    def aside_keys(self, bucket: str, prefix: bytes) -> list[bytes]:
        """The keys under a prefix that lie aside."""
        found = self.reading.execute(
            "SELECT DISTINCT key FROM objects WHERE bucket = ? AND key >= ? AND aside",
            (bucket, prefix),
        )
        return [key for (key,) in found if key.startswith(prefix)]

    # Folders ----------------------------------------------------------------------------------

    def folders(self, path: bytes, below: bytes) -> list[FolderRow]:
        """The folder at `path`, and those whose paths begin with `below`."""
        found = self.reading.execute(
            "SELECT path, inode, mtime_ns, ctime_ns FROM folders "
            "WHERE path = ?1 OR (path >= ?2 AND path < ?3)",
            (path, below, successor(below)),
        )
        return [FolderRow._make(row) for row in found]

    def remember_folders(self, rows: Iterable[FolderRow]) -> None:
        """Add or replace folders."""
        with self.writing() as connection:
            connection.executemany("INSERT OR REPLACE INTO folders VALUES (?, ?, ?, ?)", rows)

    def add_folders(self, paths: Iterable[bytes]) -> None:
        """Add folders that were seen and not read yet."""
        with self.writing() as connection:
            connection.executemany(
                "INSERT OR IGNORE INTO folders VALUES (?, 0, 0, 0)", ((path,) for path in paths)
            )

    def forget_folder(self, path: bytes) -> None:
        """Forget a folder that is gone, and all below it."""
        with self.writing() as connection:
            connection.execute(
                "DELETE FROM folders WHERE path = ?1 OR (path >= ?2 AND path < ?3)",
                (path, path + b"/", path + b"0"),
            )

    # Buckets ----------------------------------------------------------------------------------

    def add_bucket(self, name: str, created_ns: int) -> None:
        """Remember when a bucket was created."""
        with self.writing() as connection:
            connection.execute("INSERT OR REPLACE INTO buckets VALUES (?, ?)", (name, created_ns))

    def created(self, name: str) -> int | None:
        """When a bucket was created; None for one that was made by hand."""
        found = self.reading.execute("SELECT created_ns FROM buckets WHERE name = ?", (name,))
        row = found.fetchone()
        return None if row is None else int(row[0])

    def forget_bucket(self, name: str) -> None:
        """Remove everything about a bucket."""
        with self.writing() as connection:
            connection.execute(
                "DELETE FROM parts WHERE upload IN (SELECT id FROM uploads WHERE bucket = ?)",
                (name,),
            )
            for table in ("uploads", "completions", "objects"):
                connection.execute(f"DELETE FROM {table} WHERE bucket = ?", (name,))
            connection.execute("DELETE FROM buckets WHERE name = ?", (name,))
