"""Checkpoints of running jobs: from S3 before the start, to S3 while they are written.

A file that is new or has changed is uploaded, one that was uploaded and is gone is deleted; what
somebody adds in S3 while the job runs is left alone and not brought.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from clary.formats.files import storage_errors
from clary.service.executors.copying import copy_file
from clary.service.executors.executor import TrainingJobSpec
from clary.service.executors.mirrors import Mirrored, Mirrors, Synced, file_state, folder_inside
from clary.service.executors.places import split_uri

if TYPE_CHECKING:
    from clary.object_store.store import ObjectStore

_SYNCED = ".synced.json"
PERIOD_S = 5.0


class Checkpoints(Mirrors):
    """Keeps the checkpoints of running jobs in step. Thread-safe."""

    def __init__(self, store: ObjectStore, *, period_s: float = PERIOD_S) -> None:
        """Start nothing yet."""
        super().__init__(store, _folders, period_s=period_s, name="checkpoints")

    def bring(self, job: TrainingJobSpec) -> None:
        """Copy what S3 has into the job's directory.

        Raises:
            ClaryError: it cannot be read or written.
        """
        for mirrored in _folders(job):
            synced: Synced = {}
            bucket, prefix = split_uri(mirrored.uri)
            objects = self._store.iterate(bucket, prefix) if self._store.has_bucket(bucket) else ()
            for info in objects:
                name = info.key[len(prefix) :]
                if not name or name.endswith("/") or ".." in name.split("/"):
                    continue
                path = mirrored.folder / name
                with storage_errors(path):
                    path.parent.mkdir(parents=True, exist_ok=True)
                copy_file(info.path, path)
                synced[name] = file_state(path)
            mirrored.remember(synced)


def local_folder(job: TrainingJobSpec) -> Path:
    """Where a job's checkpoints lie on the disk.

    Raises:
        ClaryError: CheckpointConfig names a folder outside /opt/ml.
    """
    config = job.request.get("CheckpointConfig") or {}
    return folder_inside(
        job.directory.root, config.get("LocalPath"), "checkpoints", "CheckpointConfig"
    )


def _folders(job: TrainingJobSpec) -> tuple[Mirrored, ...]:
    config = job.request.get("CheckpointConfig")
    if not config:
        return ()
    uri = str(config["S3Uri"]).rstrip("/") + "/"
    memory = job.directory.root / _SYNCED
    return (Mirrored(local_folder(job), uri, memory, deletes=True, hidden=True),)
