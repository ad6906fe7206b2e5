"""Ending the processes of hosts, none of them anybody else's."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Sequence
from pathlib import Path

from clary.errors import StorageError
from clary.formats.files import storage_errors
from clary.formats.launch import HostFiles, HostStarted, Launch


def stop_hosts(hosts: Sequence[HostFiles], *, shared: bool = False) -> None:
    """Ask hosts to end: SIGTERM, which they pass on to the user's processes.

    Args:
        hosts: of one job.
        shared: the host process has other jobs besides, which the signal alone would end too.

    Raises:
        StorageError: a host cannot be told: it does not take signals yet, or is shared.
    """
    untold = [_wish(files, files.stop) for files in hosts]
    _signal_hosts(hosts, untold, shared=shared)


def kill_hosts(hosts: Sequence[HostFiles], *, shared: bool = False) -> None:
    """End the user's processes at once; hosts say so and end what was left behind.

    Args:
        hosts: of one job.
        shared: the host process has other jobs besides, which the signal alone would end too.

    Raises:
        StorageError: a host cannot be told: it does not take signals yet, or is shared.
    """
    untold = [_wish(files, files.kill) for files in hosts]
    try:
        # Before the hosts hear of it: one that could not read the wish would only ask to stop.
        for files in hosts:
            started = HostStarted.read(files)
            if started is not None and started.group is not None and files.is_held():
                _send(os.killpg, started.group, signal.SIGKILL)
        _signal_hosts(hosts, untold, shared=shared)
    finally:
        _kill_leftovers(hosts)


def _wish(files: HostFiles, wish: Path) -> StorageError | None:
    """A host that has not written its process id yet looks for the file when it has.

    Returns:
        Why it could not be written.
    """
    try:
        with storage_errors(wish):
            wish.touch()
    except StorageError as error:
        return error
    return None


def _signal_hosts(
    hosts: Sequence[HostFiles], untold: Sequence[StorageError | None], *, shared: bool
) -> None:
    """Send SIGTERM to all, and only then say which could not be told in any way."""
    unheard = []
    for files, error in zip(hosts, untold, strict=True):
        pid = files.holder()
        if pid is not None and not (shared and error is not None):
            _send(os.kill, pid, signal.SIGTERM)
        elif error is not None and files.is_held():
            unheard.append(error)
    if unheard:
        raise unheard[0]


def _kill_leftovers(hosts: Sequence[HostFiles]) -> None:
    """End what hosts that are gone could not end: it bears the mark of their launch."""
    gone = [
        files
        for files in hosts
        if not files.is_held() and files.launch.exists() and files.lock.exists()
    ]
    if not gone:
        return
    marks = {f"CLARY_LAUNCH={Launch.read(files.launch).token}".encode() for files in gone}
    sessions = {int(text) for files in gone if (text := files.lock.read_text()).isdigit()}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and _belongs(int(entry.name), marks, sessions):
            _send(os.kill, int(entry.name), signal.SIGKILL)


def _belongs(pid: int, marks: set[bytes], sessions: set[int]) -> bool:
    try:
        # A fork that runs user code shows the environment of the warm parent; the session of a
        # host is its own as long as anybody is in it.
        session = os.getsid(pid)
        if session in sessions and not Path(f"/proc/{session}").exists():
            return True
        return bool(marks & set(Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")))
    except OSError:
        return False


def _send(how: Callable[[int, int], None], target: int, number: int) -> None:
    try:
        how(target, number)
    except ProcessLookupError:
        return
