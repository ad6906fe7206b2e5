"""The warm parent ends with its service, and says nothing about it."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from clary.formats.launch import LANE
from tests.jobs.lane.conftest import wait_for_end, write_launch


def start() -> tuple[socket.socket, subprocess.Popen[str]]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-m", "clary.jobs.warm_parent", str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    return ours, process


@pytest.mark.parametrize("seconds", [0.0, 0.03, 0.3])
def test_it_ends_silently_with_its_service(seconds: float) -> None:
    ours, process = start()
    time.sleep(seconds)
    process.send_signal(signal.SIGINT)
    time.sleep(0.05)
    ours.close()
    assert process.communicate(timeout=60) == (None, "")
    assert process.returncode == 0


def test_a_service_that_is_gone_before_it_has_read_everything() -> None:
    ours, process = start()
    assert select.select([ours], [], [], 60)[0]
    ours.close()
    assert process.communicate(timeout=60) == (None, "")
    assert process.returncode == 0


def test_a_lane_that_was_asked_for_early_is_forked_though_the_service_is_gone(
    tmp_path: Path,
) -> None:
    ours, process = start()
    launches, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    files = write_launch(tmp_path / "job")
    lock = files.hold()
    with ours, launches, theirs:
        socket.send_fds(ours, [LANE.encode()], [theirs.fileno()])
        socket.send_fds(launches, [os.fsencode(files.launch)], [lock])
    os.close(lock)
    assert wait_for_end(files).exit_code == 1
    assert process.communicate(timeout=60) == (None, "")
    assert process.returncode == 0
