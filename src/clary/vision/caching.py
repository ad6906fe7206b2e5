"""The bounded store under `CLARY_HOME/cache`: what can be computed again, shared between runs.

    cache/lock                    held while entries are opened, counted or evicted
    cache/<kind>/<key>/           one entry; the kinds are `KINDS`
    cache/<kind>/<key>.lock       held, shared, by every process that uses the entry; its
                                  modification time is the entry's last use

An entry is used by holding a shared lock on its lock file, which the system releases when the
process dies in whatever way. When room is asked for, entries that nobody holds are removed, the
least recently used first, until all entries together stay under the limit. Safe between threads
and processes; an entry handle belongs to the one who opened it.

Unpacked archives and CIFAR's pictures lie beside the store, unbounded: kept until deleted.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from clary.formats.files import storage_errors
from clary.settings import Settings

KINDS = ("pictures", "features", "networks", "served")
_EVICTED = ".evicted-"


def cache_key(parts: dict[str, Any]) -> str:
    """A hex digest of everything that an entry depends on."""
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


class CacheEntry:
    """A folder that is not evicted while this handle is open. Close it, or use it in `with`."""

    def __init__(self, folder: Path, lock: IO[bytes]) -> None:
        self.folder = folder
        self._lock = lock

    def close(self) -> None:
        """Let go of the entry; it may be evicted from now on."""
        self._lock.close()

    def __enter__(self) -> CacheEntry:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


@dataclass(frozen=True)
class CacheStore:
    """All entries under one folder and one limit in bytes."""

    root: Path
    limit_bytes: int

    @classmethod
    def of(cls, settings: Settings) -> CacheStore:
        """The store that the settings name."""
        return cls(settings.cache_dir, settings.cache_limit_bytes)

    def open(self, kind: str, key: str) -> CacheEntry:
        """Open an entry, made empty if it is new, and mark it as used now.

        Raises:
            StorageError: the cache folder cannot be written.
        """
        folder = self.root / kind / key
        with storage_errors(folder):
            folder.parent.mkdir(parents=True, exist_ok=True)
            with self._exclusively():
                folder.mkdir(exist_ok=True)
                lock = _lock_path(folder).open("ab")
                # Never waits: exclusive locks are taken under the store's own lock only.
                fcntl.flock(lock, fcntl.LOCK_SH)
                os.utime(lock.fileno())
        return CacheEntry(folder, lock)

    def make_room(self, size_bytes: int) -> bool:
        """Whether `size_bytes` more may be written, after evicting what nobody uses.

        Raises:
            StorageError: the cache folder cannot be written.
        """
        if size_bytes > self.limit_bytes:
            return False
        with storage_errors(self.root):
            self.root.mkdir(parents=True, exist_ok=True)
            with self._exclusively():
                self._sweep()
                sizes = {folder: folder_bytes(folder) for folder in self._entries()}
                total = sum(sizes.values()) + size_bytes
                for folder in sorted(sizes, key=_last_use):
                    if total <= self.limit_bytes:
                        break
                    if _evict(folder):
                        total -= sizes[folder]
                return total <= self.limit_bytes

    def size_bytes(self) -> int:
        """What all entries take on the disk."""
        return sum(folder_bytes(folder) for folder in self._entries())

    def _entries(self) -> list[Path]:
        kinds = [self.root / kind for kind in KINDS if (self.root / kind).is_dir()]
        return [
            folder
            for kind in kinds
            for folder in kind.iterdir()
            if folder.is_dir() and not folder.name.startswith(_EVICTED)
        ]

    def _sweep(self) -> None:
        """Remove what a process that was killed while it evicted left behind."""
        for kind in KINDS:
            for leftover in (self.root / kind).glob(f"{_EVICTED}*"):
                shutil.rmtree(leftover)

    @contextmanager
    def _exclusively(self) -> Iterator[None]:
        with (self.root / "lock").open("ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


@contextmanager
def locked(path: Path, waiting: Callable[[], None] | None = None) -> Iterator[None]:
    """Hold the file at `path` for this process alone; wait for whoever holds it.

    `waiting` is called once when there is somebody to wait for.

    Raises:
        StorageError: the file cannot be made.
    """
    with storage_errors(path):
        file = path.open("ab")
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if waiting is not None:
                waiting()
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def allocate(descriptor: int, size_bytes: int, path: Path) -> None:
    """Make a file at least `size_bytes` long, all its blocks claimed: no later write fails.

    Raises:
        StorageError: the disk is full.
    """
    with storage_errors(path):
        length = os.fstat(descriptor).st_size
        if length >= size_bytes:
            return
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(descriptor, length, size_bytes - length)
        else:
            os.ftruncate(descriptor, size_bytes)


def folder_bytes(folder: Path) -> int:
    """What the files directly in a folder take on the disk; a folder that is gone takes none."""
    try:
        return sum(item.stat().st_blocks * 512 for item in folder.iterdir())
    except FileNotFoundError:
        return 0


def _lock_path(folder: Path) -> Path:
    return folder.with_name(folder.name + ".lock")


def _last_use(folder: Path) -> float:
    try:
        return _lock_path(folder).stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _evict(folder: Path) -> bool:
    with _lock_path(folder).open("ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        # Renamed first: a kill while files are removed must not leave a part of an entry.
        evicted = folder.with_name(f"{_EVICTED}{folder.name}-{time.time_ns()}")
        folder.rename(evicted)
        shutil.rmtree(evicted)
        _lock_path(folder).unlink()
    return True
