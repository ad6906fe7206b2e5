"""Whose a job's folder is: `.job.json`, made before anything else is.

A name can be given again when its first bearer was deleted, and a service that has lost its state
knows nothing of the folders it finds. Neither may take the end of one job for that of another.
"""

from __future__ import annotations

import json
import time
from itertools import count
from pathlib import Path
from typing import Protocol

from clary.errors import ClaryError
from clary.formats.files import read_json, storage_errors, write_text
from clary.formats.job_directory import JobDirectory
from clary.formats.launch import HostFiles

_OWNER = ".job.json"
_VERSION = 1
# A host that has said how it ended lets go of its lock a moment later.
_SETTLE_S = 2.0


class Owner(Protocol):
    """A job that has a folder of its own."""

    @property
    def name(self) -> str:
        """What it is called."""

    @property
    def arn(self) -> str:
        """Its ARN."""

    @property
    def created_ms(self) -> int:
        """When it was created: no other job of its name has the same."""

    @property
    def directory(self) -> JobDirectory:
        """The folder that bears its name."""


def owns_folder(job: Owner) -> bool:
    """Whether the folder that bears the job's name was made for it."""
    path = job.directory.root / _OWNER
    if not path.exists():
        return False
    owner = read_json(path)
    return (owner["arn"], owner["created_ms"]) == (job.arn, job.created_ms)


def take_folder(job: Owner) -> None:
    """Make the folder the job's own; one of an earlier job is moved aside.

    Raises:
        ClaryError: an earlier job, of which the service knows nothing, still runs in it.
        StorageError: it cannot be made or moved.
    """
    root = job.directory.root
    if owns_folder(job):
        return
    if root.is_dir() and any(root.iterdir()):
        if _is_running(root):
            raise ClaryError(
                f"an earlier job of the name {job.name}, which this service does not know, still "
                f"runs in {root}: wait for its end, or choose another name"
            )
        move_aside(root)
    owner = {"version": _VERSION, "arn": job.arn, "created_ms": job.created_ms}
    write_text(root / _OWNER, json.dumps(owner) + "\n")


def move_aside(root: Path) -> Path:
    """Give a job's folder a name that no job can have.

    Raises:
        StorageError: it cannot be renamed.
    """
    with storage_errors(root):
        for number in count(1):
            aside = root.with_name(f"{root.name}.earlier-{number}")
            if not aside.exists():
                break
        return root.rename(aside)


def _is_running(root: Path) -> bool:
    deadline = time.monotonic() + _SETTLE_S
    hosts = [HostFiles(root), *(HostFiles(folder) for folder in root.glob("hosts/*"))]
    while any(files.is_held() for files in hosts):
        if time.monotonic() > deadline:
            return True
        time.sleep(0.05)
    return False
