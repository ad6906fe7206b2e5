"""Writes a timeline. The standard library alone: it runs in anybody's training.

Files grow by whole records and are left after a minute or a quarter of a megabyte, so that a copy
in S3 is made anew only of what still grows. What a kill cuts off is the record being written.
"""

from __future__ import annotations

import errno
import json
import operator
import os
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from clary.formats.files import storage_errors, write_text
from clary.formats.timeline.entries import (
    Facts,
    Functions,
    LoadRecord,
    Operators,
    Span,
    StepRecord,
)

STEPS_MAGIC = b"clary-steps-0001"
LOADS_MAGIC = b"clary-loads-0001"
ROTATE_S = 60.0
ROTATE_BYTES = 256 << 10
_RESERVE_BYTES = 8192


def worker_folder(profiler: Path, worker: str) -> Path:
    """Where one process of a training writes, in the `profiler` folder of its host."""
    return profiler / "timeline" / worker


class TimelineWriter:
    """Writes what one process of a training has seen. One thread uses it.

    Every write reaches the operating system before it returns: a kill of the process loses nothing
    that was written.
    """

    def __init__(self, profiler: Path, worker: str = "worker_0") -> None:
        """Begin; what an earlier process wrote for this worker stays.

        Args:
            profiler: the host's folder of the profiler.
            worker: `worker_<rank>`.

        Raises:
            StorageError: the folder cannot be made.
        """
        self.folder = worker_folder(profiler, worker)
        with storage_errors(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        # Given back when a failure is told, so that a full disk has room for the sentence.
        self._reserve = self.folder / ".reserve"
        with suppress(OSError):
            self._reserve.write_bytes(os.urandom(_RESERVE_BYTES))
        self._steps = _Growing(self.folder, "steps", "bin", STEPS_MAGIC)
        self._spans = _Growing(self.folder, "spans", "jsonl", b"")

    def write_steps(self, records: Sequence[StepRecord]) -> None:
        """Add steps, in the order in which they began.

        Raises:
            StorageError: they cannot be written; none of them is.
        """
        if records:
            self._steps.append(b"".join(record.pack() for record in records))

    def write_span(self, span: Span) -> None:
        """Add a span that is over.

        Raises:
            StorageError: it cannot be written.
        """
        self._spans.append(json.dumps(asdict(span)).encode() + b"\n")

    def write_facts(self, facts: Facts) -> None:
        """Replace the facts.

        Raises:
            StorageError: they cannot be written.
        """
        write_text(
            self.folder / "facts.json", json.dumps(facts.as_json(), indent=1, default=_number)
        )

    def write_operators(self, operators: Operators) -> None:
        """Add the operators of chosen steps.

        Raises:
            StorageError: they cannot be written.
        """
        self._write_window("operators", operators)

    def write_functions(self, functions: Functions) -> None:
        """Add the Python functions of chosen steps.

        Raises:
            StorageError: they cannot be written.
        """
        self._write_window("functions", functions)

    def record_failure(self, text: str) -> None:
        """Say what went wrong with the watching itself; never raises."""
        # The newline before it parts it from a line that a full disk has cut off.
        line = "\n" + json.dumps({"at_us": time.time_ns() // 1000, "text": text}) + "\n"
        with suppress(OSError):
            self._reserve.unlink(missing_ok=True)
            self.folder.mkdir(parents=True, exist_ok=True)
            with (self.folder / "failures.jsonl").open("ab") as file:
                file.write(line.encode())

    def close(self) -> None:
        """Leave the files; a second time does nothing."""
        self._steps.close()
        self._spans.close()
        with suppress(OSError):
            self._reserve.unlink(missing_ok=True)

    def _write_window(self, what: str, window: Operators | Functions) -> None:
        name = f"{what}-{window.first:08}-{window.last:08}.json"
        write_text(self.folder / name, json.dumps(asdict(window)))


class LoadWriter:
    """Writes the batches that one process of a loader makes; made in that process."""

    def __init__(self, profiler: Path, worker: str = "worker_0") -> None:
        """Begin a file of this process.

        Args:
            profiler: the host's folder of the profiler.
            worker: `worker_<rank>` of the process that trains.

        Raises:
            StorageError: the folder cannot be made.
        """
        folder = worker_folder(profiler, worker)
        with storage_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
        self._file = _Growing(folder, f"loads-{os.getpid()}", "bin", LOADS_MAGIC)

    def write(self, record: LoadRecord) -> None:
        """Add a batch.

        Raises:
            StorageError: it cannot be written.
        """
        self._file.append(record.pack())

    def close(self) -> None:
        """Leave the file; a second time does nothing."""
        self._file.close()


class _Growing:
    """A file that is followed by another one when it is old or large."""

    def __init__(self, folder: Path, stem: str, suffix: str, magic: bytes) -> None:
        self._folder = folder
        self._stem = stem
        self._suffix = suffix
        self._magic = magic
        self._number = len(list(folder.glob(f"{stem}-*.{suffix}")))
        self._process = os.getpid()
        self._handle: int | None = None
        self._size = 0
        self._opened = 0.0

    def append(self, content: bytes) -> None:
        now = time.monotonic()
        # A forked child would cut off what its parent writes: it begins a file of its own.
        forked = self._process != os.getpid()
        if forked or self._size >= ROTATE_BYTES or now - self._opened >= ROTATE_S:
            self.close()
        self._process = os.getpid()
        with storage_errors(self._folder):
            if self._handle is None:
                self._open(now)
            assert self._handle is not None
            if not os.fstat(self._handle).st_nlink:
                self.close()
                raise FileNotFoundError(errno.ENOENT, "it was deleted while it was written")
            try:
                _write_whole(self._handle, content)
            except OSError:
                self._cut_off()
                raise
            self._size += len(content)

    def _open(self, now: float) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        handle, path = self._begin_file()
        try:
            _write_whole(handle, self._magic)
        except OSError:
            os.close(handle)
            path.unlink(missing_ok=True)
            raise
        self._handle, self._opened, self._size = handle, now, len(self._magic)

    def _begin_file(self) -> tuple[int, Path]:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        while True:
            self._number += 1
            path = self._folder / f"{self._stem}-{self._number:06}.{self._suffix}"
            try:
                return os.open(path, flags, 0o644), path
            except FileExistsError:
                continue  # of an earlier process, or of another one beside this

    def _cut_off(self) -> None:
        """Records are found by counting bytes: a half one would hide what follows."""
        assert self._handle is not None
        try:
            os.ftruncate(self._handle, self._size)
        except OSError:
            self.close()  # what follows goes into another file

    def close(self) -> None:
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None


def _number(value: Any) -> int | float:
    """A number of another library, such as numpy's, as Python's own."""
    return operator.index(value) if hasattr(value, "__index__") else float(value)


def _write_whole(handle: int, content: bytes) -> None:
    written = 0
    while written < len(content):
        written += os.write(handle, content[written:])
