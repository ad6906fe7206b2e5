"""A segment of a tensor log: an SQLite file that is written once and read by many.

Losses, statistics, small tensors and where the large ones lie. `docs/formats/tensor_log.md` shows
the tables. SQLite has no NaN: the text `NaN` stands for it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from clary.errors import FormatError
from clary.formats.tensor_log.databases import Databases, damaged
from clary.formats.tensor_log.entries import Histogram, Mode, Statistics, Step
from clary.formats.tensor_log.layout import VERSION
from clary.formats.tensor_log.lines import COUNTS, MEASURES, Line
from clary.formats.tensor_log.segment_tables import Tables

_STEP = "number, mode, mode_step, at"
_PRESENCE = "id, name, kinds, modes, first, last"
_MEASURES_AT = 1 + len(COUNTS)
_HISTOGRAM_AT = _MEASURES_AT + len(MEASURES)


@dataclass(frozen=True)
class Presence:
    """What a segment holds of a tensor, of which modes, and between which steps."""

    number: int
    kinds: frozenset[str]
    modes: frozenset[Mode]
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


class Rows(Protocol):
    """Answers a query of SQL's."""

    def __call__(self, query: str, values: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        """What it finds."""


class Segment:
    """Reads one segment; used by one thread at a time.

    Values come in the order of their steps.
    """

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        # Between which steps; none is between these.
        self.first, self.last = 2**63 - 1, -1
        self.tensors: Mapping[str, Presence] = {}

    @classmethod
    def open(cls, path: Path, databases: Databases) -> tuple[Segment, tuple[Step, ...]]:
        """Of a file that is whole; with its steps.

        Raises:
            FormatError: the file is damaged, gone, or of a later version.
            StorageError: it cannot be read.
        """
        held = cls(partial(databases.rows, path))
        ((version,),) = held._rows("PRAGMA user_version")
        if not version:
            raise damaged(path, "it holds nothing")
        if version != VERSION:
            raise FormatError(
                f"{path} has version {version} but this Clary reads version {VERSION}: "
                "install a newer Clary"
            )
        steps = held._reach(map(_step, held._rows(f"SELECT {_STEP} FROM steps ORDER BY number")))
        held.tensors = _present(held._rows(f"SELECT {_PRESENCE} FROM tensors"))
        return held, steps

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

    def _reach(self, steps: Iterable[Step]) -> tuple[Step, ...]:
        fresh = tuple(steps)
        numbers = [step.number for step in fresh]
        self.first, self.last = min([self.first, *numbers]), max([self.last, *numbers])
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


class LiveSegment(Segment):
    """What a live file holds so far, in memory, until `close`."""

    def __init__(self) -> None:
        # Any thread may use it after another, as any of them may refresh a log.
        database = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)

        def rows(query: str, values: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
            return database.execute(query, values).fetchall()

        super().__init__(rows)
        self._database = database
        self._tables = Tables(database)

    def extend(self, lines: Sequence[Line]) -> tuple[Step, ...]:
        """Take in further lines; their steps."""
        self._tables.insert(lines)
        self.tensors = _present(self._tables.rows())
        return self._reach(_step(line["step"]) for line in lines)

    def close(self) -> None:
        """Let the memory go."""
        self._database.close()


def _present(rows: Iterable[tuple[Any, ...]]) -> Mapping[str, Presence]:
    return {
        name: Presence(
            number,
            frozenset(kinds.split()),
            frozenset(Mode(int(mode)) for mode in modes.split()),
            first,
            last,
        )
        for number, name, kinds, modes, first, last in rows
    }


def _step(row: Sequence[Any]) -> Step:
    number, mode, mode_step, at = row
    return Step(number, Mode(mode), mode_step, at)


def _number(value: float | str) -> float:
    return float(value)


def _shape(text: str) -> tuple[int, ...]:
    return tuple(int(size) for size in text.split(",") if size)
