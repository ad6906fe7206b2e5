"""Reads a timeline while it grows: of one host, all its workers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from clary.errors import FormatError
from clary.formats.timeline.entries import (
    PHASES,
    VERSION,
    Facts,
    Function,
    Functions,
    LoadRecord,
    Mode,
    Operator,
    Operators,
    Span,
    StepRecord,
    known_entry,
)
from clary.formats.timeline.growing_files import LineFiles, RecordFiles, Records
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

_Stamp = tuple[str, int, int, int]

__all__ = ["LOAD_DTYPE", "STEP_DTYPE", "Records", "Timeline", "Worker"]


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
        self._steps = RecordFiles(folder, "steps-*.bin", STEPS_MAGIC, STEP_DTYPE)
        self._loads = RecordFiles(folder, "loads-*.bin", LOADS_MAGIC, LOAD_DTYPE)
        self._spans = LineFiles(folder, "spans-*.jsonl")
        self._failures = LineFiles(folder, "failures.jsonl")
        self._seen: dict[str, list[_Stamp]] = {}

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
        spans = self._spans.new_entries(lambda one: known_entry(Span, one))
        if spans:
            self.spans = tuple(sorted((*self.spans, *spans), key=lambda one: one.start_us))
            new = True
        for pattern, take in (
            ("operators-*.json", self._take_operators),
            ("functions-*.json", self._take_functions),
        ):
            if self._changed(pattern):
                take(sorted(self.folder.glob(pattern)))
                new = True
        failures = self._failures.new_entries(lambda one: str(one.get("text", "")))
        self.failures += tuple(failures)
        return new or bool(failures)

    def _take_operators(self, paths: list[Path]) -> None:
        self.operators = tuple(_operators(path) for path in paths)

    def _take_functions(self, paths: list[Path]) -> None:
        self.functions = tuple(_functions(path) for path in paths)

    def _changed(self, pattern: str) -> bool:
        """Whether there are other files than at the last call; each is replaced as a whole."""
        found = [(path.name, path.stat()) for path in sorted(self.folder.glob(pattern))]
        stamps = [(name, one.st_ino, one.st_size, one.st_mtime_ns) for name, one in found]
        changed = bool(stamps) and self._seen.get(pattern) != stamps
        self._seen[pattern] = stamps
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
                if folder.name.startswith(".") or not folder.is_dir():
                    continue
                if folder.name not in self._workers:
                    self._workers[folder.name] = Worker(folder)
        news = [worker.refresh() for worker in self._workers.values()]
        return any(news)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except ValueError as error:
        raise FormatError(f"{path} is damaged: {error}") from error
    if not isinstance(content, dict):
        raise FormatError(f"{path} is damaged: it holds no object")
    return content


def _operators(path: Path) -> Operators:
    content = _read_json(path)
    operators = tuple(known_entry(Operator, one) for one in content.get("operators", ()))
    return known_entry(Operators, {**_window(content, path), "operators": operators})


def _functions(path: Path) -> Functions:
    content = _read_json(path)
    functions = tuple(known_entry(Function, one) for one in content.get("functions", ()))
    return known_entry(Functions, {**_window(content, path), "functions": functions})


def _window(content: dict[str, Any], path: Path) -> dict[str, Any]:
    version, mode = content.get("version", VERSION), content.get("mode", 0)
    if not isinstance(version, int) or version > VERSION:
        raise FormatError(
            f"{path} is of version {version}, this Clary reads up to {VERSION}: update Clary"
        )
    try:
        return {**content, "mode": Mode(mode)}
    except ValueError as error:
        raise FormatError(f"{path} is damaged: {error}") from error


assert LOAD_DTYPE.itemsize == LoadRecord.LAYOUT.size
