"""A segment of a tensor log: an SQLite file that is written once and read by many.

Losses, statistics, small tensors and where the large ones lie. `docs/formats/tensor_log.md` shows
the tables. SQLite has no NaN: the text `NaN` stands for it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from clary.errors import FormatError
from clary.formats.tensor_log.entries import Histogram, Mode, Statistics, Step
from clary.formats.tensor_log.layout import VERSION
from clary.formats.tensor_log.lines import COUNTS, MEASURES, Line, from_text

_TABLES = f"""
PRAGMA page_size = 1024;
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
PRAGMA user_version = {VERSION};
CREATE TABLE steps (number INTEGER PRIMARY KEY, mode INTEGER, mode_step INTEGER, at REAL);
CREATE TABLE tensors (id INTEGER PRIMARY KEY, name TEXT, kinds TEXT, first INTEGER, last INTEGER);
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
_MEASURES_AT = 1 + len(COUNTS)
_HISTOGRAM_AT = _MEASURES_AT + len(MEASURES)


def write_segment(path: Path, lines: Iterable[Line]) -> None:
    """Make the file; what comes later of the same step and tensor replaces what came before.

    Raises:
        sqlite3.Error: the disk is full, or the file cannot be written.
    """
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        tables = _Tables(database)
        tables.insert(lines)
        database.executemany("INSERT INTO tensors VALUES (?, ?, ?, ?, ?)", tables.rows())


@dataclass(frozen=True)
class Presence:
    """What a segment holds of a tensor, and between which steps."""

    number: int
    kinds: frozenset[str]
    first: int
    last: int


@dataclass(frozen=True)
class RawPlace:
    """A raw tensor's kind, and its bytes or the file that holds it, relative to the log."""

    dtype: str
    shape: tuple[int, ...]
    data: bytes | None
    file: str | None


@dataclass(frozen=True)
class Span:
    """Steps later than `after`, up to and with `until`."""

    after: int = -1
    until: int = 2**63 - 1

    def touches(self, first: int, last: int) -> bool:
        """Whether any of it lies between two steps."""
        return first <= self.until and last > self.after


ALWAYS = Span()


class Segment:
    """Reads one segment; used by one thread at a time, until `close`.

    Values come in the order of their steps.
    """

    def __init__(self, database: sqlite3.Connection, path: Path) -> None:
        self._database = database
        self._path = path
        # Between which steps; none is between these.
        self.first, self.last = 2**63 - 1, -1
        self.steps: tuple[Step, ...] = ()
        self.tensors: Mapping[str, Presence] = {}

    @classmethod
    def open(cls, path: Path) -> Segment:
        """Of a file that is whole.

        Raises:
            FileNotFoundError: there is no such file.
            FormatError: the file is damaged, or of a later version.
        """
        if not path.exists():
            raise FileNotFoundError(path)
        try:
            # Nobody changes a segment, so that no lock is needed, nor a folder to write in.
            place = f"{path.resolve().as_uri()}?mode=ro&immutable=1"
            database = sqlite3.connect(place, uri=True, check_same_thread=False)
        except sqlite3.Error as error:
            raise _damaged(path, error) from error
        held = cls(database, path)
        ((version,),) = held._rows("PRAGMA user_version")
        if not version:
            raise _damaged(path, "it holds nothing")
        if version != VERSION:
            raise FormatError(
                f"{path} has version {version} but this Clary reads version {VERSION}: "
                "install a newer Clary"
            )
        held._append(map(_step, held._rows("SELECT * FROM steps ORDER BY number")))
        held.tensors = {
            name: Presence(number, frozenset(kinds.split()), first, last)
            for number, name, kinds, first, last in held._rows("SELECT * FROM tensors")
        }
        return held

    def close(self) -> None:
        """Let the file go."""
        self._database.close()

    def scalars(self, name: str, span: Span) -> Iterator[tuple[int, float]]:
        """Values by step."""
        for step, value in self._of(name, "SELECT step, value FROM scalars", span):
            yield step, _number(value)

    def statistics(self, name: str, span: Span) -> Iterator[tuple[int, Statistics]]:
        """Statistics by step."""
        columns = ", ".join(("step", *COUNTS, *MEASURES, "low", "high", "counts"))
        for row in self._of(name, f"SELECT {columns} FROM statistics", span):
            step, size, zeros, nans, infs = row[:_MEASURES_AT]
            measures = {
                measure: None if value is None else _number(value)
                for measure, value in zip(MEASURES, row[_MEASURES_AT:_HISTOGRAM_AT], strict=True)
            }
            low, high, counts = row[_HISTOGRAM_AT:]
            histogram = None
            if counts is not None:
                numbers = np.frombuffer(counts, dtype="<i8")
                histogram = Histogram(_number(low), _number(high), tuple(numbers.tolist()))
            yield step, Statistics(size, zeros, nans, infs, **measures, histogram=histogram)

    def units(
        self, name: str, kind: str, span: Span
    ) -> Iterator[tuple[int, npt.NDArray[np.float32]]]:
        """Values of channels or pictures by step."""
        query = "SELECT step, shape, data FROM units"
        for step, shape, data in self._of(name, query, span, kind=kind):
            yield step, np.frombuffer(data, dtype="<f4").reshape(_shape(shape))

    def shapes(self, name: str, span: Span) -> Iterator[tuple[int, tuple[int, ...]]]:
        """Shapes by step, of raw tensors too."""
        for table in ("shapes", "raw"):
            for step, shape in self._of(name, f"SELECT step, shape FROM {table}", span):
                yield step, _shape(shape)

    def raw_steps(self, name: str, span: Span) -> Iterator[int]:
        """Steps whose whole tensor was kept."""
        return (step for (step,) in self._of(name, "SELECT step FROM raw", span))

    def raw(self, name: str, step: int) -> RawPlace | None:
        """Where the whole tensor of a step lies; None when it was not kept."""
        query = "SELECT step, dtype, shape, data, file FROM raw"
        for _, dtype, shape, data, file in self._of(name, query, Span(step - 1, step)):
            return RawPlace(dtype, _shape(shape), data, file)
        return None

    def steps_of(self, name: str, span: Span) -> set[int]:
        """Steps at which anything of a tensor was kept."""
        tables = ("scalars", "statistics", "units", "raw", "shapes")
        return {
            step
            for table in tables
            for (step,) in self._of(name, f"SELECT step FROM {table}", span)
        }

    def _append(self, steps: Iterable[Step]) -> tuple[Step, ...]:
        fresh = tuple(steps)
        numbers = [step.number for step in fresh]
        self.first, self.last = min([self.first, *numbers]), max([self.last, *numbers])
        self.steps = (*self.steps, *fresh)
        return fresh

    def _of(
        self, name: str, query: str, span: Span, *, kind: str | None = None
    ) -> list[tuple[Any, ...]]:
        held = self.tensors.get(name)
        if held is None or not span.touches(held.first, held.last):
            return []
        where = "tensor = ? AND step > ? AND step <= ?"
        values: tuple[Any, ...] = (held.number, span.after, span.until)
        if kind is not None:
            where, values = f"{where} AND kind = ?", (*values, kind)
        return self._rows(f"{query} WHERE {where} ORDER BY step", values)

    def _rows(self, query: str, values: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        try:
            return self._database.execute(query, values).fetchall()
        except sqlite3.Error as error:
            raise _damaged(self._path, error) from error


class LiveSegment(Segment):
    """What a live file holds so far, in memory."""

    def __init__(self, path: Path) -> None:
        # Any thread may use it after another, as any of them may refresh a log.
        database = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        super().__init__(database, path)
        self._tables = _Tables(database)

    def extend(self, lines: Sequence[Line]) -> tuple[Step, ...]:
        """Take in further lines; their steps."""
        self._tables.insert(lines)
        fresh = self._append(_step(line["step"]) for line in lines)
        self.tensors = {
            name: Presence(number, frozenset(kinds.split()), first, last)
            for number, name, kinds, first, last in self._tables.rows()
        }
        return fresh


class _Tables:
    """A database that is being filled; its tensors are numbered as they come."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        self._numbers: dict[str, int] = {}
        self._kinds: list[set[str]] = []
        self._steps: list[tuple[int, int]] = []
        database.executescript(_TABLES)

    def insert(self, lines: Iterable[Line]) -> None:
        self._database.execute("BEGIN")
        for line in lines:
            _insert(self._database, line, self._number)
        self._database.execute("COMMIT")

    def rows(self) -> Iterator[tuple[int, str, str, int, int]]:
        for name, number in self._numbers.items():
            yield (number, name, " ".join(sorted(self._kinds[number])), *self._steps[number])

    def _number(self, name: str, kind: str, step: int) -> int:
        number = self._numbers.setdefault(name, len(self._numbers))
        if number == len(self._kinds):
            self._kinds.append(set())
            self._steps.append((step, step))
        self._kinds[number].add(kind)
        first, last = self._steps[number]
        self._steps[number] = (min(first, step), max(last, step))
        return number


def _insert(
    database: sqlite3.Connection, line: Line, tensor: Callable[[str, str, int], int]
) -> None:
    number = line["step"][0]
    database.execute("INSERT OR REPLACE INTO steps VALUES (?, ?, ?, ?)", line["step"])

    def insert(table: str, rows: Iterable[tuple[Any, ...]], columns: int) -> None:
        marks = ", ".join("?" * columns)
        database.executemany(f"INSERT OR REPLACE INTO {table} VALUES ({marks})", rows)

    scalars = line.get("scalars", {})
    insert(
        "scalars",
        ((tensor(n, "scalar", number), number, _storable(v)) for n, v in scalars.items()),
        3,
    )
    insert(
        "statistics",
        (
            (tensor(name, "statistics", number), number, *_statistics_row(values))
            for name, values in line.get("statistics", {}).items()
        ),
        _STATISTICS_COLUMNS,
    )
    insert(
        "units",
        (
            (tensor(name, kind, number), kind, number, _shape_text(shape), from_text(data))
            for name, kinds in line.get("units", {}).items()
            for kind, (shape, data) in kinds.items()
        ),
        5,
    )
    insert(
        "raw",
        (
            (
                tensor(name, "raw", number),
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
        ((tensor(n, "shape", number), number, _shape_text(s)) for n, s in shapes.items()),
        3,
    )


def _statistics_row(values: list[Any]) -> tuple[Any, ...]:
    counts = len(COUNTS)
    measures = [_storable(value) for value in values[counts : counts + len(MEASURES)]]
    low, high, bins = values[-1] if len(values) > counts + len(MEASURES) else (None, None, None)
    data = None if bins is None else np.asarray(bins, dtype="<i8").tobytes()
    return (*values[:counts], *measures, _storable(low), _storable(high), data)


def _step(row: Sequence[Any]) -> Step:
    number, mode, mode_step, at = row
    return Step(number, Mode(mode), mode_step, at)


def _storable(value: float | None) -> float | str | None:
    return "NaN" if value != value else value  # noqa: PLR0124


def _number(value: float | str) -> float:
    return float(value)


def _shape_text(shape: Iterable[int]) -> str:
    return ",".join(map(str, shape))


def _shape(text: str) -> tuple[int, ...]:
    return tuple(int(size) for size in text.split(",") if size)


def _damaged(path: Path, error: sqlite3.Error | str) -> FormatError:
    return FormatError(f"{path} is damaged ({error}): remove it to read the rest of the log")
