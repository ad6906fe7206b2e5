"""Lanes at once: a process that has everything loaded forks them."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from clary.formats.launch import HostEnded, HostFiles, Launch
from tests.waiting import PATIENCE_S, until

# One process after the other: what it runs → process id, and at its end its exit code.
FORKS = """
import os, socket, sys
import clary.jobs.lane.life

asked = socket.socket(fileno=int(sys.argv[1]))
while True:
    code, handles, _, _ = socket.recv_fds(asked, 10_000, 1)
    if not code:
        os._exit(0)
    pid = os.fork()
    if pid == 0:
        asked.close()
        exec(code, {"launches": socket.socket(fileno=handles[0])})
        os._exit(0)
    os.close(handles[0])
    asked.send(str(pid).encode())
    asked.send(str(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])).encode())
"""


LANE = """
import os
from clary.jobs.lane.life import run_lane

os._exit(run_lane(launches, idle_s={idle_s}))
"""


class Lane:
    """A lane in a process of its own, and the service's end of its socket.

    Args:
        forks: what forks it.
        code: what it runs; `launches` is its end of the socket.
    """

    def __init__(self, forks: socket.socket, code: str) -> None:
        self.service, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._forks = forks
        with theirs:
            socket.send_fds(forks, [code.encode()], [theirs.fileno()])
            self.pid = int(forks.recv(100))
        self._exit_code: int | None = None

    def send(self, root: Path) -> HostFiles:
        """Hand over a launch as the service does: the lock is taken before, and held by nobody."""
        files = write_launch(root)
        lock = files.hold()
        try:
            socket.send_fds(self.service, [os.fsencode(files.launch)], [lock])
        finally:
            os.close(lock)
        return files

    def wait(self) -> int:
        """Until the process has ended; gives what it ended with."""
        if self._exit_code is None:
            self._exit_code = int(self._forks.recv(100))
        return self._exit_code

    def close(self) -> None:
        self.service.close()
        self.wait()


def write_launch(root: Path) -> HostFiles:
    """A job without a configuration."""
    root.mkdir(exist_ok=True)
    files = HostFiles(root)
    launch = Launch(
        job=root.name,
        host="algo-1",
        root=str(root),
        base=str(root),
        log=str(root / "logs" / "algo-1.log"),
        isolation="none",
        command=("true",),
        working_directory="/",
        environment={**os.environ, "CLARY_HOME": str(root.parent / "home")},
        token="t",
    )
    launch.write(files)
    return files


def wait_for_end(files: HostFiles) -> HostEnded:
    """A job whose configuration is missing ends at once, and says so."""
    until(lambda: not files.is_held())
    ended = HostEnded.read(files)
    assert ended is not None
    return ended


@pytest.fixture(scope="session")
def forks() -> Iterator[socket.socket]:
    """A process that forks what it is asked to."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.settimeout(PATIENCE_S)
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-c", FORKS, str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
    yield ours
    ours.close()
    assert process.wait(PATIENCE_S) == 0


@pytest.fixture
def make_lane(forks: socket.socket) -> Iterator[Callable[[float], Lane]]:
    """A function that starts a test's lane; it has ended when the test has."""
    made: list[Lane] = []

    def make(idle_s: float) -> Lane:
        made.append(Lane(forks, LANE.format(idle_s=idle_s)))
        return made[-1]

    yield make
    for lane in made:
        lane.close()
