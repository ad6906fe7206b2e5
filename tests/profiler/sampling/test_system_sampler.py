"""The sampler: its grid, its configuration while it runs, and what goes wrong beside it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from clary.formats.files import write_json
from clary.formats.system_metrics import SystemMetrics
from clary.profiler.sampling.system_sampler import SystemSampler
from tests.waiting import PATIENCE_S, until


def moments(folder: Path) -> list[float]:
    """When snapshots were taken."""
    metrics = SystemMetrics(folder)
    metrics.refresh()
    times, _ = metrics.series("Memory", "MemoryUsedPercent")
    return [float(time_) for time_ in times]


@contextmanager
def sampling(folder: Path, *args: Any, **options: Any) -> Iterator[SystemSampler]:
    sampler = SystemSampler(folder, "algo-1", *args, **options)
    sampler.start()
    try:
        yield sampler
    finally:
        sampler.stop()


def configure(path: Path, interval_ms: int = 100, *, disabled: bool = False) -> None:
    write_json(path, {"ProfilingIntervalInMilliseconds": interval_ms, "DisableProfiler": disabled})


def test_snapshots_hold_the_machine_and_the_job(tmp_path: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        with sampling(tmp_path, 100, root_pid=os.getpid()):
            until(lambda: len(moments(tmp_path)) >= 3)
    finally:
        child.kill()
        child.wait()
    metrics = SystemMetrics(tmp_path)
    metrics.refresh()
    assert {dimension for dimension, _ in metrics.keys} >= {
        "CPUUtilization",
        "Memory",
        "Algorithm",
        "Disk",
        "Process",
    }
    assert metrics.series("Process", "Processes")[1].max() >= 1
    assert metrics.series("Process", "CPUUtilization")[1].max() > 5
    assert metrics.failures == ()
    # The values of a snapshot bear one time.
    rows = [len(set(metrics.series(*key)[0]) - set(moments(tmp_path))) for key in metrics.keys]
    assert not any(rows)


def test_snapshots_keep_to_their_grid(tmp_path: Path) -> None:
    """However late a snapshot is, those after it are where they would have been."""
    with sampling(tmp_path, 200):
        until(lambda: len(moments(tmp_path)) >= 8)
    # The last one is taken when the end comes.
    taken = moments(tmp_path)[:-1]
    places = [(moment - taken[0]) / 0.2 for moment in taken]
    lateness = sorted(place - round(place) for place in places)
    # On a machine that is busy some come late; what drifted would be anywhere.
    assert abs(lateness[len(lateness) // 2]) < 0.25


def test_a_short_life_leaves_a_snapshot(tmp_path: Path) -> None:
    with sampling(tmp_path, 60_000):
        time.sleep(0.3)
    assert len(moments(tmp_path)) == 1


def test_stopping_twice_and_before_starting_does_nothing(tmp_path: Path) -> None:
    sampler = SystemSampler(tmp_path, "algo-1")
    sampler.stop()
    sampler.start()
    sampler.stop()
    sampler.stop()


def test_nothing_is_sampled_until_there_is_a_configuration(tmp_path: Path) -> None:
    file = tmp_path / "profilerconfig.json"
    with sampling(tmp_path / "profiler", configuration_file=file):
        time.sleep(0.3)
        assert not (tmp_path / "profiler").exists()
        configure(file)
        until(lambda: len(moments(tmp_path / "profiler")) >= 2)


def test_a_configuration_that_is_replaced_stops_it_and_starts_it_again(tmp_path: Path) -> None:
    file, folder = tmp_path / "profilerconfig.json", tmp_path / "profiler"
    configure(file)
    with sampling(folder, configuration_file=file):
        until(lambda: len(moments(folder)) >= 2)
        configure(file, disabled=True)

        def is_silent() -> bool:
            taken = len(moments(folder))
            time.sleep(0.5)
            return len(moments(folder)) == taken

        until(is_silent)
        silent_at = time.time()
        configure(file)
        until(lambda: moments(folder)[-1] > silent_at)
    gaps = [later - one for one, later in zip(moments(folder), moments(folder)[1:], strict=False)]
    assert max(gaps) > 0.5


def test_a_shorter_interval_takes_effect_before_the_long_one_is_over(tmp_path: Path) -> None:
    file, folder = tmp_path / "profilerconfig.json", tmp_path / "profiler"
    configure(file, 60_000)
    with sampling(folder, configuration_file=file):
        time.sleep(0.2)
        configure(file, 100)
        until(lambda: len(moments(folder)) >= 3)


def test_a_configuration_that_is_damaged_changes_nothing_and_is_told(tmp_path: Path) -> None:
    file, folder = tmp_path / "profilerconfig.json", tmp_path / "profiler"
    told: list[str] = []
    configure(file)
    with sampling(folder, configuration_file=file, tell=told.append):
        until(lambda: len(moments(folder)) >= 1)
        configure(file, 123)
        until(lambda: bool(told))
        seen = len(moments(folder))
        until(lambda: len(moments(folder)) > seen + 1)
    assert len(told) == 1
    assert "ProfilingIntervalInMilliseconds is 123" in told[0]
    metrics = SystemMetrics(folder)
    metrics.refresh()
    assert metrics.failures == tuple(told)


def test_a_disk_that_takes_nothing_is_told_of_once_and_tried_again(tmp_path: Path) -> None:
    told: list[str] = []
    obstacle = tmp_path / "system"
    obstacle.write_text("in the way")
    with sampling(tmp_path, 100, tell=told.append):
        until(lambda: bool(told))
        time.sleep(0.5)
        assert len(told) == 1
        assert "cannot be written" in told[0]
        obstacle.unlink()
        until(lambda: len(moments(tmp_path)) >= 2)
    metrics = SystemMetrics(tmp_path)
    metrics.refresh()
    assert len(metrics.failures) == 1
    assert "snapshots are lost" in metrics.failures[0]


def test_a_disk_that_takes_nothing_is_told_of_once_and_not_each_minute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = time.time
    told: list[str] = []
    began = real()
    # A minute passes in less than a second.
    monkeypatch.setattr(time, "time", lambda: began + (real() - began) * 100)
    hours = [time.strftime("%Y%m%d%H", time.gmtime(began + after)) for after in range(0, 7200, 600)]
    for hour in hours:
        folder = tmp_path / "system" / "incremental" / hour
        folder.parent.mkdir(parents=True, exist_ok=True)
        if not folder.exists():
            folder.write_text("in the way")
    with sampling(tmp_path, 100, tell=told.append) as sampler:
        until(lambda: sampler._lost >= 20)
    assert len(told) == 1


def test_a_clock_that_is_set_changes_no_rate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = time.time
    steps = iter([0.0, 3600.0, -3600.0, *[0.0] * 1000])
    monkeypatch.setattr(
        "clary.profiler.sampling.system_sampler.time.time", lambda: real() + next(steps)
    )
    child = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        sampler = SystemSampler(tmp_path, "algo-1", 100, root_pid=os.getpid())
        sampler.start()
        until(lambda: len(moments(tmp_path)) >= 4)
        sampler.stop()
    finally:
        child.kill()
        child.wait()
    metrics = SystemMetrics(tmp_path)
    metrics.refresh()
    times, cpu = metrics.series("Process", "CPUUtilization")
    assert max(times) - min(times) > 7000
    # One thread that computes takes no more than one core, but for the ticks of the clock.
    assert min(cpu) >= 0
    assert max(cpu) < 150


GREEDY = """
import sys, threading, time
from pathlib import Path
from clary.profiler.sampling.system_sampler import SystemSampler
sampler = SystemSampler(Path(sys.argv[1]), "algo-1", 100)
sampler.start()
end = time.monotonic() + 1.5
while time.monotonic() < end:
    sum(range(10_000))
# Without `stop`: the thread must not keep the process alive.
"""


def test_it_samples_beside_a_thread_that_is_always_busy_and_keeps_nothing_alive(
    tmp_path: Path,
) -> None:
    subprocess.run([sys.executable, "-c", GREEDY, str(tmp_path)], check=True, timeout=PATIENCE_S)
    assert len(moments(tmp_path)) >= 2
    for path in tmp_path.rglob("*.json"):
        lines: Sequence[str] = path.read_text().splitlines()
        assert all(json.loads(line)["NodeId"] == "algo-1" for line in lines)


def test_its_thread_ends(tmp_path: Path) -> None:
    with sampling(tmp_path, 100):
        until(lambda: len(moments(tmp_path)) >= 1)
    assert "clary-system-sampler" not in {thread.name for thread in threading.enumerate()}
