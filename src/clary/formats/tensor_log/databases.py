"""Segments' databases, few of them open at a time, and why one cannot be read."""

from __future__ import annotations

import errno
import sqlite3
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from clary.errors import FormatError, StorageError

# A process has 1,024 descriptors, 256 on macOS, and may read several logs; opening takes 0.1 ms.
_OPEN_AT_ONCE = 32
_CACHE_KIB = 64
_TOO_MANY = {errno.EMFILE, errno.ENFILE}

_Stamp = tuple[int, int, int]


class Databases:
    """Reads databases that nobody changes; used by one thread at a time.

    Those that were asked last stay open.
    """

    def __init__(self) -> None:
        self._open: OrderedDict[Path, sqlite3.Connection] = OrderedDict()
        self._stamps: dict[Path, _Stamp] = {}

    def rows(self, path: Path, query: str, values: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        """What a query finds.

        Raises:
            FormatError: the file is damaged, gone or another one than the first time.
            StorageError: the system does not let it be read.
        """
        try:
            return self._connection(path).execute(query, values).fetchall()
        except sqlite3.OperationalError as error:
            # SQLite keeps for itself what the system said.
            with reading(path):
                path.read_bytes()
            raise damaged(path, error) from error
        except sqlite3.Error as error:
            raise damaged(path, error) from error

    def _connection(self, path: Path) -> sqlite3.Connection:
        database = self._open.get(path)
        if database is not None:
            self._open.move_to_end(path)
            return database
        with reading(path):
            about = path.stat()
        stamp = (about.st_ino, about.st_size, about.st_mtime_ns)
        if self._stamps.setdefault(path, stamp) != stamp:
            raise FormatError(f"{path} was replaced while it was read: open the log again")
        while len(self._open) >= _OPEN_AT_ONCE:
            self._open.popitem(last=False)[1].close()
        # Nobody changes a segment, so that no lock is needed, nor a folder to write in.
        place = f"{path.absolute().as_uri()}?mode=ro&immutable=1"
        database = sqlite3.connect(place, uri=True, check_same_thread=False)
        database.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        self._open[path] = database
        return database


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn what the operating system says about reading a file into a sentence.

    Raises:
        FormatError: it is gone.
        StorageError: it cannot be read, for any other reason.
    """
    try:
        yield
    except FileNotFoundError as error:
        raise FormatError(f"{path} is gone: it was there when the log was opened") from error
    except OSError as error:
        remedy = "raise the limit of `ulimit -n`" if error.errno in _TOO_MANY else "let it be read"
        raise StorageError(
            f"{path} cannot be read ({error.strerror or error}): {remedy} and run again"
        ) from error


def damaged(path: Path, error: sqlite3.Error | str) -> FormatError:
    """What is to be said of a file that is there but makes no sense."""
    return FormatError(f"{path} is damaged ({error}): remove it to read the rest of the log")
