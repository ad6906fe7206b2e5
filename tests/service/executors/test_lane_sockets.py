"""The service's end of lanes that do not read."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from clary.formats.launch import Launch
from clary.service.executors.lanes import Key, Lanes
from clary.service.executors.places import HostPlace
from tests.service.executors.conftest import children_running

KEY, OTHER = ("tuning", "a"), ("tuning", "b")
MORE_THAN_FIT = 1000


@pytest.fixture
def host(tmp_path: Path) -> HostPlace:
    """What a lane is sent; it is stopped before it can look at it."""
    place = HostPlace("algo-1", 0, ("algo-1",), tmp_path, tmp_path / "log", "none")
    launch = Launch(
        job="job",
        host=place.name,
        root=str(tmp_path),
        base=str(tmp_path),
        log=str(place.log),
        isolation="none",
        command=("true",),
        working_directory="/",
        environment=dict(os.environ),
        token="t",
    )
    launch.write(place.files)
    return place


@pytest.fixture
def lanes() -> Iterator[Lanes]:
    """Lanes that are started cold; their processes end with the test."""
    lanes = Lanes(warm=None)
    yield lanes
    lanes.close()
    for pid in lane_processes():
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def lane_processes() -> set[int]:
    return children_running("clary.jobs.lane")


def send(lanes: Lanes, key: Key, host: HostPlace) -> None:
    handle = os.open(os.devnull, os.O_RDONLY)
    try:
        lanes.start(key, host, handle)
    finally:
        os.close(handle)


def test_a_lane_that_does_not_read_is_replaced(lanes: Lanes, host: HostPlace) -> None:
    send(lanes, KEY, host)
    stuck = lane_processes()
    assert len(stuck) == 1
    for pid in stuck:
        os.kill(pid, signal.SIGSTOP)
    sent = 1
    while lane_processes() == stuck:
        assert sent < MORE_THAN_FIT
        send(lanes, KEY, host)
        sent += 1
    [another] = lane_processes() - stuck
    os.kill(another, signal.SIGSTOP)
    send(lanes, KEY, host)
    assert lane_processes() == stuck | {another}


def test_lanes_that_have_ended_are_reaped(lanes: Lanes, host: HostPlace) -> None:
    for key in (KEY, OTHER):
        send(lanes, key, host)
    started = lane_processes()
    assert len(started) == 2
    for pid in started:
        os.kill(pid, signal.SIGKILL)
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    lanes.reap()
    assert not any(Path(f"/proc/{pid}").exists() for pid in started)
    send(lanes, KEY, host)
    assert len(lane_processes()) == 1
