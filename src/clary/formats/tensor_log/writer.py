"""Writing a tensor log: each capture is whole or absent, whenever the process is killed.

capture → a line of the live file → (2 s to 2 min, or 1 MB) → a segment
        ↘ raw tensors of more than 4 KiB → a file of the step
"""

from __future__ import annotations

import errno
import fcntl
import os
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from clary.errors import StorageError
from clary.formats.files import storage_errors
from clary.formats.tensor_log.entries import Capture, CollectionRecord
from clary.formats.tensor_log.layout import (
    INLINE_LIMIT_BYTES,
    WorkerPaths,
    live_of,
    segment_of,
)
from clary.formats.tensor_log.lines import Line, dump_line, encode_capture, read_lines
from clary.formats.tensor_log.raw_files import RESERVED, write_tensors
from clary.formats.tensor_log.segment_tables import write_segment
from clary.formats.tensor_log.worker_files import append_failure, write_collections, write_ended
from clary.formats.text import valid_text

_SEAL_AFTER_SECONDS = 2.0
_SEAL_AFTER_SHARE = 0.05  # of the run's age
_SEAL_AFTER_AT_MOST_SECONDS = 120.0
_SEAL_AFTER_BYTES = 1 << 20
_RESERVE_BYTES = 8192
# What file systems answer that know no locks.
_NO_LOCKS = {errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS}

# The logs that this process writes: the system's locks hold between processes only.
_writing: set[Path] = set()


class TensorLogWriter:
    """Writes what one worker saw into a folder. Owned and used by one thread.

    The folder may hold what an earlier process wrote, also one that was killed: the log goes on
    behind it. A process that was forked from the writer's must not use it.

    Raises:
        StorageError: the folder cannot be written, or another writer of this worker has it.
        UsageError: the worker's name cannot be part of a file's name.
    """

    def __init__(
        self,
        folder: Path,
        *,
        worker: str = "worker_0",
        collections: Sequence[CollectionRecord] = (),
    ) -> None:
        self._paths = WorkerPaths(folder.absolute(), worker)
        self._process = os.getpid()
        self._began = time.monotonic()
        self._sealed_at = self._began
        self._last_sealed = 0
        self._live: int | None = None
        self._live_bytes = 0
        self._pending: list[Line] = []
        self._closed = False
        with storage_errors(folder):
            self._paths.segments.mkdir(parents=True, exist_ok=True)
            self._lock = _take(self._paths)
        try:
            with self._writing():
                self._paths.ended.unlink(missing_ok=True)
                self._paths.reserve.write_bytes(os.urandom(_RESERVE_BYTES))
                self._number = self._recover()
            if collections:
                write_collections(self._paths, collections)
        except StorageError:
            _give_back(self._paths, self._lock)
            raise

    def write(self, capture: Capture) -> None:
        """Keep a capture; of several of one step, all is kept, and of one name what came later.

        It is safe from a kill of this process when this returns, and in a segment by and by.

        Raises:
            StorageError: the disk is full, the folder was deleted. What was written before stays
                readable, and a later capture may be tried.
        """
        with self._writing():
            line = encode_capture(capture, self._store(capture))
            self._append(dump_line(line))
        self._pending.append(line)
        self.seal_when_due()

    def seal_when_due(self) -> None:
        """Make a segment of what has been waiting long enough; for when nothing is written.

        Raises:
            StorageError: the disk is full, the folder was deleted.
        """
        now = time.monotonic()
        waiting, patience = now - self._sealed_at, seal_after_seconds(now - self._began)
        if self._live_bytes >= _SEAL_AFTER_BYTES or waiting >= patience:
            self.flush()

    def flush(self) -> None:
        """Make all that was written visible to every reader, S3's too.

        Raises:
            StorageError: the disk is full, the folder was deleted.
        """
        if self._pending:
            with self._writing():
                self._seal(self._number, self._pending)
            self._let_live_go()
            self._number += 1
            self._pending = []
        self._sealed_at = time.monotonic()

    def describe(self, collections: Sequence[CollectionRecord]) -> None:
        """Say anew how the hook is configured and which tensors belong to what.

        Raises:
            StorageError: the folder cannot be written.
        """
        with self._writing():
            write_collections(self._paths, collections)

    def record_failure(self, text: str) -> None:
        """Say what went wrong with the watching itself, as well as that can be done."""
        try:
            append_failure(self._paths, text)
        except OSError:
            with suppress(OSError):
                # On a full disk this makes the room that the sentence needs.
                self._paths.reserve.unlink(missing_ok=True)
                append_failure(self._paths, text)

    def close(self) -> None:
        """Put the rest into a segment and mark the log as ended; a second time does nothing.

        In a process that was forked from the writer's this does nothing either.

        Raises:
            StorageError: the disk is full, the folder was deleted. What is in the live file stays
                readable.
        """
        if self._closed or os.getpid() != self._process:
            return
        self._closed = True
        try:
            self.flush()
            with self._writing():
                write_ended(self._paths, self._last_sealed)
        finally:
            if not self._pending:
                self._let_live_go()
            elif self._live is not None:
                os.close(self._live)
                self._live = None
            with suppress(OSError):
                self._paths.reserve.unlink(missing_ok=True)
            _give_back(self._paths, self._lock)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        folder = self._paths.folder
        if self._was_deleted():
            raise StorageError(f"{folder} was deleted while it was written: nothing more is kept")
        try:
            with storage_errors(folder):
                yield
        except sqlite3.Error as error:
            # SQLite gives a full disk and a bound on file sizes no number that all Pythons show.
            raise StorageError(
                f"{folder} cannot be written ({error}): free some space and run again"
            ) from error

    def _was_deleted(self) -> bool:
        return os.fstat(self._lock).st_nlink == 0

    def _store(self, capture: Capture) -> Mapping[str, str]:
        large = {
            valid_text(name): raw
            for name, raw in capture.raw.items()
            if memoryview(raw.data).nbytes > INLINE_LIMIT_BYTES and name != RESERVED
        }
        if not large:
            return {}
        file = self._free_file(capture.step.number)
        self._paths.storing.parent.mkdir(exist_ok=True)
        write_tensors(self._paths.folder / file, self._paths.storing, large)
        return dict.fromkeys(large, file)

    def _free_file(self, step: int) -> str:
        part = 1
        while (self._paths.folder / self._paths.tensors(step, part)).exists():
            part += 1
        return self._paths.tensors(step, part)

    def _append(self, line: bytes) -> None:
        if self._live is None:
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
            self._live = os.open(self._paths.live(self._number), flags, 0o666)
            self._live_bytes = os.fstat(self._live).st_size
        try:
            written = 0
            while written < len(line):
                written += os.write(self._live, line[written:])
        except OSError:
            os.ftruncate(self._live, self._live_bytes)
            raise
        self._live_bytes += len(line)

    def _seal(self, number: int, lines: Sequence[Line]) -> None:
        sealing = self._paths.sealing
        try:
            sealing.unlink(missing_ok=True)
            write_segment(sealing, lines)
            with sealing.open("rb") as file:
                os.fsync(file.fileno())
            sealing.replace(self._paths.segment(number))
            self._last_sealed = max(number, self._last_sealed)
        except (OSError, sqlite3.Error):
            with suppress(OSError):
                sealing.unlink(missing_ok=True)
            raise

    def _let_live_go(self) -> None:
        if self._live is not None:
            os.close(self._live)
        self._live, self._live_bytes = None, 0
        with suppress(OSError):
            # Where it stays, readers see that its segment is there.
            self._paths.live(self._number).unlink(missing_ok=True)

    def _recover(self) -> int:
        """Make segments of what a killed writer left; the number of the next one."""
        sealed, live = set(), set()
        for path in self._paths.segments.iterdir():
            segment, rest = segment_of(path.name), live_of(path.name)
            if segment and segment[1] == self._paths.worker:
                sealed.add(segment[0])
            if rest and rest[1] == self._paths.worker:
                live.add(rest[0])
        self._last_sealed = max(sealed, default=0)
        for number in sorted(live):
            if number not in sealed:
                lines, _ = read_lines(self._paths.live(number))
                if lines:
                    self._seal(number, lines)
            self._paths.live(number).unlink()
        self._paths.storing.unlink(missing_ok=True)
        return max(sealed | live, default=0) + 1


def seal_after_seconds(age_seconds: float) -> float:
    """How long captures wait for their segment when the run is so old.

    Early on they are soon on S3; in ten hours there are some 400 segments.
    """
    share = _SEAL_AFTER_SHARE * age_seconds
    return min(max(_SEAL_AFTER_SECONDS, share), _SEAL_AFTER_AT_MOST_SECONDS)


def _take(paths: WorkerPaths) -> int:
    taken = StorageError(
        f"{paths.folder} is being written for {paths.worker} by another hook: "
        "give this one a folder of its own"
    )
    # Asked before the file is opened: closing it again would let go of the first one's lock.
    if paths.lock in _writing:
        raise taken
    lock = os.open(paths.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        # Of a kind that forked processes do not inherit, so that none of them keeps a dead
        # writer's log locked.
        fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError) as error:
        os.close(lock)
        raise taken from error
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            os.close(lock)
            raise
    _writing.add(paths.lock)
    return lock


def _give_back(paths: WorkerPaths, lock: int) -> None:
    _writing.discard(paths.lock)
    os.close(lock)
