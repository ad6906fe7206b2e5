"""Under which name a process writes: of two that bear one name, the second takes its own.

They may run beside each other, or one after another as a command's programs do. A name is claimed
by a lock on a file, which the system takes away from a process however it ends, and which a fork
does not have.
"""

from __future__ import annotations

import errno
import fcntl
import os
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from clary.formats.files import read_json, storage_errors
from clary.formats.timeline.writer import worker_folder

OWNER_FILE = ".owner"
_TAKEN = {errno.EACCES, errno.EAGAIN}


class _Claim(NamedTuple):
    pid: int
    """Of this process, or of the one that it was forked from, which means nothing here."""
    worker: str
    handle: int | None = None
    """Of the locked file; none where the name is the process's own."""


_claims: dict[Path, _Claim] = {}


def claim_worker(profiler: Path, worker: str) -> str:
    """The name under which this process writes, for as long as it lives.

    Args:
        profiler: the host's folder of the profiler.
        worker: `worker_<rank>`.

    Returns:
        `worker`; with this process's number behind it where another process has it or had it. Until
        `release_worker` it is always the same.

    Raises:
        StorageError: the folder cannot be made.
    """
    folder = worker_folder(profiler, worker)
    claim = _claims.get(folder)
    if claim is not None and claim.pid == os.getpid():
        return claim.worker
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        handle = _lock(folder / OWNER_FILE)
    if handle is not None and not _is_written_by_another(folder):
        _claims[folder] = _Claim(os.getpid(), worker, handle)
        return worker
    if handle is not None:
        _give_back(folder, handle)
    own = f"{worker}-{os.getpid()}"
    _claims[folder] = _Claim(os.getpid(), own)
    return own


def release_worker(profiler: Path, worker: str) -> None:
    """Give back what was claimed for `worker`; nothing where this process has claimed nothing."""
    folder = worker_folder(profiler, worker)
    claim = _claims.get(folder)
    if claim is not None and claim.pid == os.getpid():
        del _claims[folder]
        if claim.handle is not None:
            _give_back(folder, claim.handle)


def _give_back(folder: Path, handle: int) -> None:
    with suppress(OSError):
        (folder / OWNER_FILE).unlink(missing_ok=True)
    os.close(handle)


def _lock(path: Path) -> int | None:
    """A handle whose file this process has locked; None where another has."""
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in _TAKEN:
                os.close(handle)
                return None
            return handle  # a file system without locks: facts are all that tells
        if _is_still_there(path, handle):
            return handle
        os.close(handle)  # whoever had it took it away meanwhile


def _is_still_there(path: Path, handle: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(handle))
    except FileNotFoundError:
        return False


def _is_written_by_another(folder: Path) -> bool:
    """Whether another process has written here; one that has ended was another program."""
    try:
        return int(read_json(folder / "facts.json")["pid"]) != os.getpid()
    except Exception:  # noqa: BLE001 - nobody's, or a damaged one
        return False
