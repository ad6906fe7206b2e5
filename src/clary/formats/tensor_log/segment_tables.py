"""The tables of a segment, and how captures come into them.

`docs/formats/tensor_log.md` shows the tables. SQLite has no NaN: the text `NaN` stands for it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from clary.formats.tensor_log.layout import VERSION
from clary.formats.tensor_log.lines import COUNTS, MEASURES, Line, from_text

_TABLES = f"""
PRAGMA page_size = 1024;
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
PRAGMA user_version = {VERSION};
CREATE TABLE steps (number INTEGER PRIMARY KEY, mode INTEGER, mode_step INTEGER, at REAL);
CREATE TABLE tensors (id INTEGER PRIMARY KEY, name TEXT, kinds TEXT, modes TEXT,
    first INTEGER, last INTEGER);
CREATE TABLE scalars (tensor INTEGER, step INTEGER, value, PRIMARY KEY (tensor, step))
    WITHOUT ROWID;
CREATE TABLE statistics (tensor INTEGER, step INTEGER, {", ".join((*COUNTS, *MEASURES))},
    low, high, counts BLOB, PRIMARY KEY (tensor, step)) WITHOUT ROWID;
CREATE TABLE units (tensor INTEGER, kind TEXT, step INTEGER, shape TEXT, data BLOB,
    PRIMARY KEY (tensor, kind, step)) WITHOUT ROWID;
CREATE TABLE raw (tensor INTEGER, step INTEGER, dtype TEXT, shape TEXT, data BLOB, file TEXT,
    PRIMARY KEY (tensor, step)) WITHOUT ROWID;
CREATE TABLE shapes (tensor INTEGER, step INTEGER, shape TEXT, PRIMARY KEY (tensor, step))
    WITHOUT ROWID;
"""
_STATISTICS_COLUMNS = 2 + len(COUNTS) + len(MEASURES) + 3


def write_segment(path: Path, lines: Iterable[Line]) -> None:
    """Make the file; what comes later of the same step and tensor replaces what came before.

    Raises:
        sqlite3.Error: the disk is full, or the file cannot be written.
    """
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        tables = Tables(database)
        tables.insert(lines)
        database.executemany("INSERT INTO tensors VALUES (?, ?, ?, ?, ?, ?)", tables.rows())


class Tables:
    """A database that is being filled; its tensors are numbered as they come."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        self._numbers: dict[str, int] = {}
        self._kinds: list[set[str]] = []
        self._modes: list[set[int]] = []
        self._steps: list[tuple[int, int]] = []
        database.executescript(_TABLES)

    def insert(self, lines: Iterable[Line]) -> None:
        """Take in captures; the later one of the same step and tensor counts."""
        self._database.execute("BEGIN")
        for line in lines:
            _insert(self._database, line, self._number)
        self._database.execute("COMMIT")

    def rows(self) -> Iterator[tuple[int, str, str, str, int, int]]:
        """What the table `tensors` holds."""
        for name, number in self._numbers.items():
            kinds = " ".join(sorted(self._kinds[number]))
            modes = " ".join(map(str, sorted(self._modes[number])))
            yield (number, name, kinds, modes, *self._steps[number])

    def _number(self, name: str, kind: str, step: int, mode: int) -> int:
        number = self._numbers.setdefault(name, len(self._numbers))
        if number == len(self._kinds):
            self._kinds.append(set())
            self._modes.append(set())
            self._steps.append((step, step))
        self._kinds[number].add(kind)
        self._modes[number].add(mode)
        first, last = self._steps[number]
        self._steps[number] = (min(first, step), max(last, step))
        return number


def _insert(
    database: sqlite3.Connection, line: Line, numbered: Callable[[str, str, int, int], int]
) -> None:
    number, mode = line["step"][:2]
    database.execute("INSERT OR REPLACE INTO steps VALUES (?, ?, ?, ?)", line["step"])

    def tensor(name: str, kind: str) -> int:
        return numbered(name, kind, number, mode)

    def insert(table: str, rows: Iterable[tuple[Any, ...]], columns: int) -> None:
        marks = ", ".join("?" * columns)
        database.executemany(f"INSERT OR REPLACE INTO {table} VALUES ({marks})", rows)

    scalars = line.get("scalars", {})
    insert(
        "scalars",
        ((tensor(n, "scalar"), number, _storable(v)) for n, v in scalars.items()),
        3,
    )
    insert(
        "statistics",
        (
            (tensor(name, "statistics"), number, *_statistics_row(values))
            for name, values in line.get("statistics", {}).items()
        ),
        _STATISTICS_COLUMNS,
    )
    insert(
        "units",
        (
            (tensor(name, kind), kind, number, _shape_text(shape), from_text(data))
            for name, kinds in line.get("units", {}).items()
            for kind, (shape, data) in kinds.items()
        ),
        5,
    )
    insert(
        "raw",
        (
            (
                tensor(name, "raw"),
                number,
                dtype,
                _shape_text(shape),
                None if data is None else from_text(data),
                file,
            )
            for name, (dtype, shape, data, file) in line.get("raw", {}).items()
        ),
        6,
    )
    shapes = line.get("shapes", {})
    insert(
        "shapes",
        ((tensor(n, "shape"), number, _shape_text(s)) for n, s in shapes.items()),
        3,
    )


def _statistics_row(values: list[Any]) -> tuple[Any, ...]:
    counts = len(COUNTS)
    measures = [_storable(value) for value in values[counts : counts + len(MEASURES)]]
    low, high, bins = values[-1] if len(values) > counts + len(MEASURES) else (None, None, None)
    data = None if bins is None else np.asarray(bins, dtype="<i8").tobytes()
    return (*values[:counts], *measures, _storable(low), _storable(high), data)


def _storable(value: float | None) -> float | str | None:
    return "NaN" if value != value else value  # noqa: PLR0124


def _shape_text(shape: Iterable[int]) -> str:
    return ",".join(map(str, shape))
