"""Folders of running jobs, to S3 while they are written: checkpoints, tensors, profiles, findings.

A file that is new or has changed is uploaded, the one that was written first before the others. A
small file in the job's directory remembers what S3 has, so that a new service goes on where the
last one was.
"""

from __future__ import annotations

import errno
import json
import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from clary.errors import ClaryError, FormatError, StorageError
from clary.formats.files import read_json, storage_errors, write_text
from clary.formats.launch import BASE
from clary.object_store.errors import InvalidKey
from clary.service.executors.executor import TrainingJobSpec
from clary.service.executors.places import split_uri

if TYPE_CHECKING:
    from clary.object_store.store import ObjectStore

logger = logging.getLogger(__name__)

# A file that was written to a moment ago, in parts of the period, is likely not finished.
_SETTLED = 0.2
# What keeps a file out of S3 keeps every other one out, too.
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}

Synced = dict[str, list[int]]


@dataclass(frozen=True)
class Mirrored:
    """A folder, and the S3 folder that gets what is in it.

    `uri` ends in a slash. `memory` is the file that remembers what S3 has. With `deletes`, a file
    that was uploaded and is gone is deleted; with `hidden`, files whose names begin with a dot go,
    too, unless they are temporary. With `growing`, files are written to at their ends alone, by
    whole records, and go as they are. `named` gives a file's name there where it has another one.
    """

    folder: Path
    uri: str
    memory: Path
    deletes: bool = False
    hidden: bool = False
    growing: bool = False
    named: Callable[[str], str] | None = None

    def remember(self, synced: Synced) -> None:
        """Say what S3 has, each file by its name with its time and size.

        Raises:
            StorageError: the memory cannot be written.
        """
        write_text(self.memory, json.dumps(synced) + "\n")

    def remembered(self) -> Synced:
        """What S3 has.

        Raises:
            FormatError: the memory is damaged.
        """
        if not self.memory.exists():
            return {}
        content = read_json(self.memory)
        if not isinstance(content, dict) or not all(map(_is_state, content.values())):
            raise FormatError(f"{self.memory} does not say which files S3 has")
        return content

    def files(self) -> Iterator[tuple[str, Path, list[int]]]:
        """What there is to upload, with its time and size."""
        for path in self.folder.rglob("*"):
            name = path.relative_to(self.folder).as_posix()
            if not self.hidden and any(part.startswith(".") for part in name.split("/")):
                continue
            if path.name.startswith(".") and path.suffix == ".tmp":
                continue
            # One may vanish after it was listed.
            with suppress(FileNotFoundError):
                if path.is_file():
                    stored = name if self.named is None else self.named(name)
                    yield stored, path, file_state(path)


class Mirrors:
    """Keeps folders of running jobs in step on a thread of its own. Thread-safe.

    `follow` never waits: an upload of gigabytes holds the lock of its job alone.
    """

    def __init__(
        self,
        store: ObjectStore,
        folders: Callable[[TrainingJobSpec], Sequence[Mirrored]],
        *,
        period_s: float,
        name: str,
    ) -> None:
        """Start nothing yet.

        Args:
            store: the buckets.
            folders: what there is to mirror of a job.
            period_s: how often it is looked at.
            name: what the thread is called.
        """
        self._store = store
        self._folders = folders
        self._period_s = period_s
        self._name = name
        self._lock = threading.Lock()
        self._followed: dict[str, TrainingJobSpec] = {}
        # Jobs with nothing to mirror: they are asked for several times a second.
        self._idle: WeakValueDictionary[str, TrainingJobSpec] = WeakValueDictionary()
        self._syncing: dict[str, threading.Lock] = {}
        # Jobs of which something could not be stored: said once each.
        self._told: set[str] = set()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    def follow(self, job: TrainingJobSpec) -> None:
        """Keep S3 in step with a running job until `finish`; said again, it costs nothing."""
        if self._followed.get(job.name) is job or self._idle.get(job.name) is job:
            return
        if not self._folders(job):
            with self._lock:
                self._idle[job.name] = job
            return
        with self._lock:
            self._followed[job.name] = job
            if self._thread is None and not self._closing.is_set():
                self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                self._thread.start()

    def finish(self, job: TrainingJobSpec) -> None:
        """Bring S3 up to date for the last time.

        Raises:
            ClaryError: something cannot be stored; the other folders are up to date.
        """
        failed: Exception | None = None
        with self._lock:
            self._followed.pop(job.name, None)
            syncing = self._syncing.setdefault(job.name, threading.Lock())
        with syncing:
            for mirrored in self._folders(job):
                try:
                    with storage_errors(mirrored.folder):
                        self._sync(mirrored, settled_s=0)
                except Exception as error:  # noqa: BLE001 - raised when the others are done
                    failed = failed or error
        with self._lock:
            self._syncing.pop(job.name, None)
            self._told.discard(job.name)
        if failed is not None:
            raise failed

    def forget(self, job: TrainingJobSpec) -> None:
        """Follow a job no more."""
        with self._lock:
            self._followed.pop(job.name, None)

    def close(self) -> None:
        """End the thread; what is running stays as S3 has it until the next service."""
        self._closing.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        while not self._closing.wait(self._period_s):
            with self._lock:
                followed = list(self._followed.values())
            for job in followed:
                self._sync_once(job)

    def _sync_once(self, job: TrainingJobSpec) -> None:
        """One round; a job that cannot be synced now is tried again, and told of at its end."""
        with self._lock:
            syncing = self._syncing.setdefault(job.name, threading.Lock())
        with syncing:
            with self._lock:
                if job.name not in self._followed:
                    return
            try:
                for mirrored in self._folders(job):
                    self._sync_folder(job, mirrored)
            except Exception:  # noqa: BLE001 - jobs beside this one are stored all the same
                self._tell_once(job)

    def _sync_folder(self, job: TrainingJobSpec, mirrored: Mirrored) -> None:
        try:
            self._sync(mirrored, settled_s=self._period_s * _SETTLED)
        except Exception:  # noqa: BLE001 - the other folders are stored all the same
            self._tell_once(job)

    def _tell_once(self, job: TrainingJobSpec) -> None:
        if job.name not in self._told:
            self._told.add(job.name)
            logger.warning("Of %s not all is stored (%s)", job.name, self._name, exc_info=True)

    def _sync(self, mirrored: Mirrored, *, settled_s: float) -> None:
        """Bring S3 up to date with a folder.

        Raises:
            ClaryError: something cannot be stored: the first that could not; the rest is.
        """
        bucket, prefix = split_uri(mirrored.uri)
        before = _remembered(mirrored)
        failed: ClaryError | OSError | None = None
        now = dict(before)
        settled = time.time_ns() - int(settled_s * 1e9)
        found = sorted((state, name, path) for name, path, state in mirrored.files())
        try:
            for state, name, path in found:
                # One that is changing at this moment keeps its former content in S3.
                if state != before.get(name) and (mirrored.growing or state[0] <= settled):
                    try:
                        self._store.put(bucket, prefix + name, path)
                    except (InvalidKey, StorageError, OSError) as error:
                        if _is_full(error):
                            raise
                        failed = failed or error
                    else:
                        now[name] = state
            if mirrored.deletes:
                for name in before.keys() - {name for _, name, _ in found}:
                    self._store.delete(bucket, prefix + name)
                    del now[name]
        finally:
            if now != before:
                mirrored.remember(now)
        if failed is not None:
            raise failed


def folder_inside(job_root: Path, local_path: str | None, default: str, member: str) -> Path:
    """Where a folder of a host lies on the disk.

    Args:
        job_root: the host's.
        local_path: what the request says, a path under /opt/ml; None for the default.
        default: the default, below /opt/ml.
        member: where the request says it.

    Raises:
        ClaryError: it is outside /opt/ml.
    """
    local = Path(local_path or f"{BASE}/{default}")
    inside = local.relative_to(BASE) if local.is_relative_to(BASE) else Path()
    if not inside.parts or ".." in inside.parts:
        raise ClaryError(
            f"{member}.LocalPath is {local}: give a folder under {BASE}, such as {BASE}/{default}"
        )
    return job_root / inside


def file_state(path: Path) -> list[int]:
    """What tells a file from its earlier versions: its time and its size."""
    about = path.stat()
    return [about.st_mtime_ns, about.st_size]


def _remembered(mirrored: Mirrored) -> Synced:
    """What S3 has, nothing where that is not known: everything is uploaded again."""
    try:
        return mirrored.remembered()
    except FormatError as error:
        logger.warning("%s: all of %s is stored again", error, mirrored.folder)
        return {}


def _is_state(value: object) -> bool:
    return (
        isinstance(value, list) and len(value) == 2 and all(isinstance(one, int) for one in value)
    )


def _is_full(error: ClaryError | OSError) -> bool:
    cause = error if isinstance(error, OSError) else error.__cause__
    return isinstance(cause, OSError) and cause.errno in _FULL
