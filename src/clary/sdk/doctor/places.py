"""Looks at where Clary writes: its home, its caches and the folder of temporary files."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil

from clary.formats.service_record import service_is_alive
from clary.sdk.doctor.observation import Observation, Surroundings, sized

# Under this a training cannot keep its checkpoints and its model.
NO_SPACE_BYTES = 200 * 10**6
# A few trainings with their caches of decoded pictures.
LITTLE_SPACE_BYTES = 5 * 10**9
LITTLE_TEMPORARY_BYTES = 10**9
_IN_MEMORY = {"tmpfs", "ramfs"}
# Locks and SQLite's write-ahead log are not dependable there.
_REMOTE = {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "fuse.sshfs", "lustre"}


def look_at_home(around: Surroundings) -> Iterator[Observation]:
    """Whether the home can be written, locks hold there, and the disk has room."""
    home = around.settings.home
    reason = why_not_writable(home)
    if reason is not None:
        yield Observation(
            "home",
            f"{home} cannot be written ({reason})",
            "nothing can be kept",
            "fault",
            "name a folder of yours: export CLARY_HOME=/path/to/a/folder",
        )
        return
    kind = _file_system(home)
    if kind in _REMOTE:
        yield Observation(
            "home",
            f"{home} on {kind}",
            "locks and databases are not dependable on a network's file system",
            "warning",
            "name a folder on a disk of this machine: export CLARY_HOME=/path/to/a/folder",
        )
    elif kind in _IN_MEMORY:
        yield Observation(
            "home",
            f"{home} on {kind}",
            "lies in memory: models and buckets are gone when the machine starts anew",
            "note",
            "name a folder on a disk: export CLARY_HOME=/path/to/a/folder",
        )
    free = shutil.disk_usage(_existing(home)).free
    found = f"{home}{'' if home.is_dir() else ' (not there yet)'}, {sized(free)} free"
    yield judge_room(found, free, around.settings.cache_limit_bytes)


def judge_room(found: str, free: int, cache: int) -> Observation:
    """What the room on the home's disk is good for.

    Args:
        found: the home and its room, in words.
        free: bytes that are left.
        cache: bytes that decoded pictures and features may take.
    """
    remedy = "free some space, or name a folder on another disk by CLARY_HOME"
    if free < NO_SPACE_BYTES:
        return Observation("disk", found, "a training cannot keep its model", "fault", remedy)
    if free < LITTLE_SPACE_BYTES:
        return Observation("disk", found, "room for a few trainings", "warning", remedy)
    if free < cache:
        return Observation(
            "disk",
            found,
            f"decoded pictures and features may take {sized(cache)}, more than that",
            "note",
            f"set CLARY_CACHE_GB={max(1, int(free / 2 / 2**30))} to leave room",
        )
    return Observation("disk", found, f"caches take {sized(cache)} of it at most")


def look_at_temporary_files(_around: Surroundings) -> Iterator[Observation]:
    """Whether the folder of temporary files can be written and has room."""
    try:
        folder = Path(tempfile.gettempdir())
        reason = why_not_writable(folder)
        trouble = None if reason is None else f"{folder} cannot be written ({reason})"
    except FileNotFoundError as error:
        trouble = error.strerror or str(error)
    if trouble is not None:
        yield Observation(
            "temporary files",
            trouble,
            "programs that unpack something fail",
            "fault",
            "name a folder of yours: export TMPDIR=/path/to/a/folder",
        )
        return
    free = shutil.disk_usage(folder).free
    little = free < LITTLE_TEMPORARY_BYTES
    yield Observation(
        "temporary files",
        f"{folder}, {sized(free)} free",
        "an archive may not fit when it is unpacked" if little else "enough to unpack archives",
        "warning" if little else "ok",
        "free some space there, or name another folder by TMPDIR" if little else None,
    )


def look_at_leftovers(around: Surroundings) -> Iterator[Observation]:
    """What a service that was killed has left behind."""
    settings = around.settings
    try:
        left = settings.service_file.exists() and not service_is_alive(settings)
    except OSError:
        return  # a home that cannot be read is told by `look_at_home`
    if left:
        yield Observation(
            "leftovers",
            f"{settings.service_file} of a service that was killed",
            "the next start takes its jobs and endpoints up again",
            "note",
            "`clary start` goes on where it was",
        )


def why_not_writable(folder: Path) -> str | None:
    """Why files cannot be made and locked in a folder, or it cannot be made; None where they can.

    Args:
        folder: there or not.
    """
    try:
        _try(folder)
    except OSError as error:
        return error.strerror or str(error)
    return None


def _try(folder: Path) -> None:
    there = _existing(folder)
    if not there.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, f"{there} is a file")
    if there == folder:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"\0" * 4096)
            file.flush()
            os.fsync(file.fileno())
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    # Nothing is made that was not there: asking is enough.
    elif os.statvfs(there).f_flag & os.ST_RDONLY:
        raise OSError(errno.EROFS, f"{there} is on a read-only file system")
    elif not os.access(there, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, f"{there} belongs to somebody else")


def _existing(path: Path) -> Path:
    """The path, or the nearest of those around it that is there."""
    while not path.exists() and path != path.parent:
        path = path.parent
    return path


def _file_system(path: Path) -> str:
    """The kind of the file system that holds a path; empty where the system does not say."""
    place = os.path.realpath(path)
    found = ("", "")
    try:
        mounted = psutil.disk_partitions(all=True)
    except OSError:
        return ""
    for one in mounted:
        inside = Path(place).is_relative_to(one.mountpoint)
        if inside and len(one.mountpoint) >= len(found[0]):
            found = (one.mountpoint, one.fstype)
    return found[1]
