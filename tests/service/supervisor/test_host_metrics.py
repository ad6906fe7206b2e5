"""What real processes use."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from clary.service.state.metric_data import Datum
from clary.service.supervisor.host_metrics import WINDOW_MS, HostMetrics

# A parent that sleeps, above a child that counts and holds 64 MiB.
BUSY_CHILD = "held = b'x' * (64 << 20)\nwhile True: pass"
PARENT = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {BUSY_CHILD!r}])"
MINUTE_MS = 1_800_000_000_000 // WINDOW_MS * WINDOW_MS


@pytest.fixture
def busy() -> Iterator[int]:
    process = subprocess.Popen([sys.executable, "-c", PARENT], start_new_session=True)
    time.sleep(0.5)
    yield process.pid
    os.killpg(process.pid, 9)
    process.wait()


def by_name(data: list[Datum]) -> dict[str, float]:
    return {datum.metric.name: datum.sum for datum in data}


def test_a_minute_s_mean_counts_the_whole_tree(busy: int, tmp_path: Path) -> None:
    metrics = HostMetrics("job", tmp_path)
    assert metrics.sample({"algo-1": busy}, MINUTE_MS) == []
    time.sleep(0.5)
    assert metrics.sample({"algo-1": busy}, MINUTE_MS + 5_000) == []
    told = metrics.sample({"algo-1": busy}, MINUTE_MS + WINDOW_MS)
    assert {datum.metric.dimensions["Host"] for datum in told} == {"job/algo-1"}
    assert {datum.timestamp_ms for datum in told} == {MINUTE_MS}
    assert {datum.unit for datum in told} == {"Percent"}
    values = by_name(told)
    assert {"CPUUtilization", "MemoryUtilization", "DiskUtilization"} <= set(values)
    assert 5 < values["CPUUtilization"] < 150
    assert 0 < values["MemoryUtilization"] < 100
    assert 0 <= values["DiskUtilization"] <= 100


def test_what_is_left_is_told_at_the_end_and_once(busy: int, tmp_path: Path) -> None:
    metrics = HostMetrics("job", tmp_path)
    metrics.sample({"algo-1": busy, "algo-2": busy}, MINUTE_MS)
    assert {datum.metric.dimensions["Host"] for datum in metrics.means()} == {
        "job/algo-1",
        "job/algo-2",
    }
    assert metrics.means() == []


def test_processes_that_are_gone_use_nothing(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    metrics = HostMetrics("job", tmp_path)
    assert metrics.sample({"algo-1": process.pid}, MINUTE_MS) == []
    assert metrics.means() == []
