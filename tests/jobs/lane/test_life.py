"""When a lane ends: idle, asked to, or alone; and no launch is lost while it does."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from clary.formats.launch import HostFiles
from tests.jobs.lane.conftest import Lane, wait_for_end
from tests.waiting import PATIENCE_S

MakeLane = Callable[[float], Lane]


def test_it_ends_when_nothing_comes_and_takes_no_more(make_lane: MakeLane, tmp_path: Path) -> None:
    lane = make_lane(0.3)
    ended = wait_for_end(lane.send(tmp_path / "one"))
    assert ended.exit_code == 1
    assert "hyperparameters.json is missing" in str(ended.failure)
    assert lane.wait() == 0
    with pytest.raises(OSError):
        lane.send(tmp_path / "late")
    assert not HostFiles(tmp_path / "late").is_held()


def test_every_launch_that_could_be_sent_is_taken(make_lane: MakeLane, tmp_path: Path) -> None:
    """Launches are sent just when the lane gives up waiting."""
    sent: list[HostFiles] = []
    # On a machine that has much to do, a lane of little patience has given up before the first.
    for patience_s in (0.05, 0.5, 5.0):
        lane = make_lane(patience_s)
        with pytest.raises(OSError):
            for number in range(10_000):
                sent.append(lane.send(tmp_path / f"job-{number}"))
                wait_for_end(sent[-1])
                time.sleep(patience_s * (0.6 + 0.2 * (number % 5)))
        assert lane.wait() == 0
        if sent:
            break
    assert sent
    for files in sent:
        assert wait_for_end(files).exit_code == 1


def test_it_ends_with_its_last_job_when_the_service_is_gone(
    make_lane: MakeLane, tmp_path: Path
) -> None:
    lane = make_lane(PATIENCE_S * 10)
    files = lane.send(tmp_path / "one")
    lane.service.close()
    assert wait_for_end(files).exit_code == 1
    assert lane.wait() == 0


def test_a_job_that_was_stopped_before_it_came_does_not_begin(
    make_lane: MakeLane, tmp_path: Path
) -> None:
    lane = make_lane(PATIENCE_S * 10)
    first = lane.send(tmp_path / "one")
    (tmp_path / "two").mkdir()
    HostFiles(tmp_path / "two").stop.touch()
    files = lane.send(tmp_path / "two")
    ended = wait_for_end(files)
    assert ended.exit_code == 143
    assert ended.failure == "stopped before it had begun"
    wait_for_end(first)


def test_an_idle_lane_ends_when_it_is_asked_to(make_lane: MakeLane, tmp_path: Path) -> None:
    lane = make_lane(PATIENCE_S * 10)
    wait_for_end(lane.send(tmp_path / "one"))
    os.kill(lane.pid, signal.SIGTERM)
    assert lane.wait() == 0


def test_the_signal_for_a_job_that_has_just_ended_is_for_nobody_else(
    make_lane: MakeLane, tmp_path: Path
) -> None:
    lane = make_lane(PATIENCE_S * 10)
    files = lane.send(tmp_path / "one")
    wait_for_end(files)
    files.stop.touch()
    os.kill(lane.pid, signal.SIGTERM)
    time.sleep(0.1)
    assert wait_for_end(lane.send(tmp_path / "two")).exit_code == 1
