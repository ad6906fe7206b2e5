"""Checkpoints of running jobs: from S3 before the start, to S3 while they are written.

A file that is new or has changed is uploaded, one that was uploaded and is gone is deleted; what
somebody adds in S3 while the job runs is left alone and not brought. `.synced.json` in the job's
directory remembers what S3 has, so that a new service goes on where the last one was.
"""

from __future__ import annotations

import json
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from clary.errors import ClaryError
from clary.formats.files import read_json, storage_errors, write_text
from clary.formats.launch import BASE
from clary.service.executors.copying import copy_file
from clary.service.executors.executor import TrainingJobSpec
from clary.service.executors.places import split_uri

if TYPE_CHECKING:
    from clary.object_store.store import ObjectStore

_SYNCED = ".synced.json"
PERIOD_S = 5.0
# A file that was written to a moment ago, in parts of the period, is likely not finished.
_SETTLED = 0.2


class Checkpoints:
    """Keeps the checkpoints of running jobs in step on a thread of its own. Thread-safe.

    `follow` never waits: an upload of gigabytes holds the lock of its job alone.
    """

    def __init__(self, store: ObjectStore, *, period_s: float = PERIOD_S) -> None:
        self._store = store
        self._period_s = period_s
        self._lock = threading.Lock()
        self._followed: dict[str, TrainingJobSpec] = {}
        self._syncing: dict[str, threading.Lock] = {}
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    def bring(self, job: TrainingJobSpec) -> None:
        """Copy what S3 has into the job's directory.

        Raises:
            ClaryError: it cannot be read or written.
        """
        uri = _uri(job)
        if uri is None:
            return
        folder = local_folder(job)
        synced: dict[str, list[int]] = {}
        bucket, prefix = split_uri(uri)
        objects = self._store.iterate(bucket, prefix) if self._store.has_bucket(bucket) else ()
        for info in objects:
            name = info.key[len(prefix) :]
            if not name or name.endswith("/") or ".." in name.split("/"):
                continue
            path = folder / name
            with storage_errors(path):
                path.parent.mkdir(parents=True, exist_ok=True)
            copy_file(info.path, path)
            synced[name] = _state(path)
        _remember(job, synced)

    def follow(self, job: TrainingJobSpec) -> None:
        """Keep S3 in step with a running job until `finish`."""
        if _uri(job) is None:
            return
        with self._lock:
            self._followed[job.name] = job
            if self._thread is None and not self._closing.is_set():
                self._thread = threading.Thread(target=self._run, name="checkpoints", daemon=True)
                self._thread.start()

    def finish(self, job: TrainingJobSpec) -> None:
        """Bring S3 up to date for the last time.

        Raises:
            ClaryError: something cannot be stored.
        """
        with self._lock:
            self._followed.pop(job.name, None)
            syncing = self._syncing.setdefault(job.name, threading.Lock())
        if _uri(job) is not None:
            with syncing:
                self._sync(job, settled_s=0)
        with self._lock:
            self._syncing.pop(job.name, None)

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
        """One round; a job that cannot be synced now is tried again, and fails at its end."""
        with self._lock:
            syncing = self._syncing.setdefault(job.name, threading.Lock())
        with syncing:
            with self._lock:
                if job.name not in self._followed:
                    return
            with suppress(ClaryError, OSError):
                self._sync(job, settled_s=self._period_s * _SETTLED)

    def _sync(self, job: TrainingJobSpec, *, settled_s: float) -> None:
        folder = local_folder(job)
        bucket, prefix = split_uri(str(_uri(job)))
        before = _remembered(job)
        now: dict[str, list[int]] = {}
        settled = time.time_ns() - int(settled_s * 1e9)
        for path in sorted(folder.rglob("*")):
            name = path.relative_to(folder).as_posix()
            if not path.is_file() or _unfinished(path):
                continue
            state = _state(path)
            if state == before.get(name):
                now[name] = state
            elif state[0] <= settled:
                self._store.put(bucket, prefix + name, path)
                now[name] = state
            elif name in before:  # changing at this moment: S3 keeps the former content
                now[name] = before[name]
        for name in before.keys() - now.keys():
            self._store.delete(bucket, prefix + name)
        if now != before:
            _remember(job, now)


def local_folder(job: TrainingJobSpec) -> Path:
    """Where a job's checkpoints lie on the disk.

    Raises:
        ClaryError: CheckpointConfig names a folder outside /opt/ml.
    """
    config = job.request.get("CheckpointConfig") or {}
    local = Path(str(config.get("LocalPath") or f"{BASE}/checkpoints"))
    inside = local.relative_to(BASE) if local.is_relative_to(BASE) else Path()
    if not inside.parts or ".." in inside.parts:
        raise ClaryError(
            f"CheckpointConfig.LocalPath is {local}: give a folder under {BASE}, such as "
            f"{BASE}/checkpoints"
        )
    return job.directory.root / inside


def _uri(job: TrainingJobSpec) -> str | None:
    """The S3 folder of a job's checkpoints, with its slash; None where it keeps none."""
    config = job.request.get("CheckpointConfig")
    return None if not config else str(config["S3Uri"]).rstrip("/") + "/"


def _unfinished(path: Path) -> bool:
    return path.name.startswith(".") and path.suffix == ".tmp"


def _state(path: Path) -> list[int]:
    about = path.stat()
    return [about.st_mtime_ns, about.st_size]


def _remember(job: TrainingJobSpec, synced: dict[str, list[int]]) -> None:
    write_text(job.directory.root / _SYNCED, json.dumps(synced) + "\n")


def _remembered(job: TrainingJobSpec) -> dict[str, list[int]]:
    path = job.directory.root / _SYNCED
    return dict(read_json(path)) if path.exists() else {}
