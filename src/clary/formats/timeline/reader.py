"""Reads a timeline while it grows: of one host, all its workers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from clary.errors import FormatError
from clary.formats.timeline.entries import (
    PHASES,
    Facts,
    Function,
    Functions,
    LoadRecord,
    Mode,
    Operator,
    Operators,
    Span,
    StepRecord,
)
from clary.formats.timeline.writer import LOADS_MAGIC, STEPS_MAGIC

STEP_DTYPE = np.dtype(
    {
        "names": [
            "mode", "merged", "step", "start_us", "pictures", "seconds", "longest_s",
            "phases_s", "device_s",
        ],
        "formats": [
            "u1", "<u4", "<i8", "<i8", "<u4", "<f4", "<f4",
            ("<f4", len(PHASES)), ("<f4", len(PHASES)),
        ],
        "offsets": [0, 4, 8, 16, 24, 28, 32, 36, 56],
        "itemsize": StepRecord.LAYOUT.size,
    }
)  # fmt: skip
"""`StepRecord` for numpy; `phases_s` and `device_s` are (records, 5)."""

LOAD_DTYPE = np.dtype(
    [
        ("start_us", "<i8"), ("seconds", "<f4"), ("pictures", "<u4"), ("worker", "<i4"),
        ("cpu_s", "<f4"),
    ]
)  # fmt: skip
"""`LoadRecord` for numpy."""

Records = npt.NDArray[Any]


class Worker:
    """What one process of a training has written; it changes when its timeline is refreshed."""

    def __init__(self, folder: Path) -> None:
        """Nothing is read before the first refresh.

        Args:
            folder: `profiler/timeline/<worker>`.
        """
        self.name = folder.name
        self.folder = folder
        self.facts: Facts | None = None
        self.spans: tuple[Span, ...] = ()
        self.operators: tuple[Operators, ...] = ()
        self.functions: tuple[Functions, ...] = ()
        self.failures: tuple[str, ...] = ()
        self._steps = _Files(folder, "steps-*.bin", STEPS_MAGIC, STEP_DTYPE)
        self._loads = _Files(folder, "loads-*.bin", LOADS_MAGIC, LOAD_DTYPE)
        self._seen: dict[str, tuple[int, int]] = {}

    def steps(self, mode: Mode | None = None) -> Records:
        """`StepRecord`s in the order of their start, of one mode or of all: `STEP_DTYPE`."""
        records = self._steps.records
        return records if mode is None else records[records["mode"] == mode]

    def loads(self) -> Records:
        """`LoadRecord`s in the order of their start: `LOAD_DTYPE`."""
        return self._loads.records

    def refresh(self) -> bool:
        """Take in what was written since; True when there is something new.

        Raises:
            FormatError: a file is damaged, or of a later version.
            OSError: a file cannot be read.
        """
        new = self._steps.refresh()
        new = self._loads.refresh() or new
        if self._changed("facts.json"):
            self.facts = Facts.from_json(_read_json(self.folder / "facts.json"))
            new = True
        if self._changed("spans-*.jsonl"):
            lines = _read_lines(self.folder, "spans-*.jsonl")
            self.spans = tuple(sorted((Span(**one) for one in lines), key=lambda one: one.start_us))
            new = True
        if self._changed("operators-*.json"):
            found = [_read_json(path) for path in sorted(self.folder.glob("operators-*.json"))]
            self.operators = tuple(_operators(one) for one in found)
            new = True
        if self._changed("functions-*.json"):
            found = [_read_json(path) for path in sorted(self.folder.glob("functions-*.json"))]
            self.functions = tuple(_functions(one) for one in found)
            new = True
        if self._changed("failures.jsonl"):
            self.failures = tuple(
                str(one.get("text", "")) for one in _read_lines(self.folder, "failures.jsonl")
            )
            new = True
        return new

    def _changed(self, pattern: str) -> bool:
        stats = [path.stat() for path in self.folder.glob(pattern)]
        seen = (
            sum(one.st_size for one in stats),
            max((one.st_mtime_ns for one in stats), default=0),
        )
        changed = bool(stats) and self._seen.get(pattern) != seen
        self._seen[pattern] = seen
        return changed


class Timeline:
    """All workers of one host. One thread uses it."""

    def __init__(self, profiler: Path) -> None:
        """Nothing is read before the first refresh.

        Args:
            profiler: the host's folder of the profiler; it need not exist yet.
        """
        self._folder = profiler / "timeline"
        self._workers: dict[str, Worker] = {}

    @property
    def workers(self) -> Mapping[str, Worker]:
        """By name, in order."""
        return dict(sorted(self._workers.items()))

    def refresh(self) -> bool:
        """Take in what was written since; True when there is something new.

        Raises:
            FormatError: a file is damaged, or of a later version.
            OSError: a file cannot be read.
        """
        if self._folder.is_dir():
            for folder in self._folder.iterdir():
                if folder.is_dir() and folder.name not in self._workers:
                    self._workers[folder.name] = Worker(folder)
        news = [worker.refresh() for worker in self._workers.values()]
        return any(news)


class _Files:
    """Files of fixed records that only grow; a record that is not whole yet is left out."""

    def __init__(self, folder: Path, pattern: str, magic: bytes, dtype: np.dtype[Any]) -> None:
        self._folder = folder
        self._pattern = pattern
        self._magic = magic
        self._dtype = dtype
        self._parts: dict[str, tuple[int, Records]] = {}
        self.records: Records = np.empty(0, dtype)

    def refresh(self) -> bool:
        new = False
        for path in sorted(self._folder.glob(self._pattern)):
            read, records = self._parts.get(path.name, (0, np.empty(0, self._dtype)))
            size = path.stat().st_size
            if size <= max(read, len(self._magic)):
                continue
            with path.open("rb") as file:
                if not read:
                    self._check(path, file.read(len(self._magic)))
                    read = len(self._magic)
                file.seek(read)
                content = file.read()
            whole = len(content) // self._dtype.itemsize * self._dtype.itemsize
            if whole:
                more = np.frombuffer(content[:whole], self._dtype)
                self._parts[path.name] = (read + whole, np.concatenate([records, more]))
                new = True
        if new:
            together = np.concatenate([self._parts[name][1] for name in sorted(self._parts)])
            self.records = together[np.argsort(together["start_us"], kind="stable")]
        return new

    def _check(self, path: Path, magic: bytes) -> None:
        if magic == self._magic:
            return
        if magic[:12] == self._magic[:12] and magic[12:].isdigit():
            raise FormatError(
                f"{path} is of version {int(magic[12:])}, this Clary reads up to "
                f"{int(self._magic[12:])}: update Clary"
            )
        raise FormatError(f"{path} is damaged: it does not begin as a file of a timeline does")


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except ValueError as error:
        raise FormatError(f"{path} is damaged: {error}") from error
    if not isinstance(content, dict):
        raise FormatError(f"{path} is damaged: it holds no object")
    return content


def _read_lines(folder: Path, pattern: str) -> list[dict[str, Any]]:
    """Whole lines of all files; one that a kill has cut off is left out."""
    lines = []
    for path in sorted(folder.glob(pattern)):
        for line in path.read_bytes().split(b"\n"):
            try:
                lines.append(json.loads(line))
            except ValueError:
                continue
    return lines


def _operators(content: dict[str, Any]) -> Operators:
    operators = tuple(Operator(**one) for one in content["operators"])
    return Operators(**{**content, "operators": operators, "mode": Mode(content["mode"])})


def _functions(content: dict[str, Any]) -> Functions:
    functions = tuple(Function(**one) for one in content["functions"])
    return Functions(**{**content, "functions": functions, "mode": Mode(content["mode"])})


assert LOAD_DTYPE.itemsize == LoadRecord.LAYOUT.size
