"""When a lane ends: idle, or alone; and no launch is lost while it does."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from clary.formats.launch import HostEnded, HostFiles, Launch

PATIENCE_S = 60.0
RUN = "import socket, sys; from clary.jobs.lane.life import run_lane; " + (
    "sys.exit(run_lane(socket.socket(fileno=int(sys.argv[1])), idle_s=float(sys.argv[2])))"
)


class Lane:
    """A lane in a process of its own, and the service's end of its socket."""

    def __init__(self, idle_s: float) -> None:
        self.service, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-c", RUN, str(theirs.fileno()), str(idle_s)],
                pass_fds=[theirs.fileno()],
                env={**os.environ, "OMP_NUM_THREADS": "1"},
            )

    def send(self, root: Path) -> HostFiles:
        """Hand over a launch as the service does: the lock is taken before, and held by nobody."""
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
        lock = files.hold()
        try:
            socket.send_fds(self.service, [os.fsencode(files.launch)], [lock])
        finally:
            os.close(lock)
        return files

    def close(self) -> None:
        self.service.close()
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


def wait_for_end(files: HostFiles) -> HostEnded:
    """A job whose configuration is missing ends at once, and says so."""
    deadline = time.monotonic() + PATIENCE_S
    while files.is_held():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    ended = HostEnded.read(files)
    assert ended is not None
    return ended


def test_it_ends_when_nothing_comes_and_takes_no_more(tmp_path: Path) -> None:
    lane = Lane(idle_s=0.3)
    try:
        ended = wait_for_end(lane.send(tmp_path / "one"))
        assert ended.exit_code == 1
        assert "hyperparameters.json is missing" in str(ended.failure)
        assert lane.process.wait(PATIENCE_S) == 0
        with pytest.raises(OSError):
            lane.send(tmp_path / "late")
        assert not HostFiles(tmp_path / "late").is_held()
    finally:
        lane.close()


def test_every_launch_that_could_be_sent_is_taken(tmp_path: Path) -> None:
    """Launches are sent just when the lane gives up waiting."""
    lane = Lane(idle_s=0.05)
    sent: list[HostFiles] = []
    try:
        with pytest.raises(OSError):
            for number in range(10_000):
                sent.append(lane.send(tmp_path / f"job-{number}"))
                wait_for_end(sent[-1])
                time.sleep(0.03 + 0.01 * (number % 5))
        assert lane.process.wait(PATIENCE_S) == 0
        assert sent
        for files in sent:
            assert wait_for_end(files).exit_code == 1
    finally:
        lane.close()


def test_it_ends_with_its_last_job_when_the_service_is_gone(tmp_path: Path) -> None:
    lane = Lane(idle_s=PATIENCE_S * 10)
    try:
        files = lane.send(tmp_path / "one")
        lane.service.close()
        assert wait_for_end(files).exit_code == 1
        assert lane.process.wait(PATIENCE_S) == 0
    finally:
        lane.close()


def test_a_job_that_was_stopped_before_it_came_does_not_begin(tmp_path: Path) -> None:
    lane = Lane(idle_s=1.0)
    try:
        first = lane.send(tmp_path / "one")
        (tmp_path / "two").mkdir()
        HostFiles(tmp_path / "two").stop.touch()
        files = lane.send(tmp_path / "two")
        ended = wait_for_end(files)
        assert ended.exit_code == 143
        assert ended.failure == "stopped before it had begun"
        wait_for_end(first)
    finally:
        lane.close()
