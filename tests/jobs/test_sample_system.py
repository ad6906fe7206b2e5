"""The sampler's program: it ends with the process that has started it, whatever becomes of that."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from clary.formats.files import write_json
from clary.formats.system_metrics import SystemMetrics
from tests.waiting import PATIENCE_S, until

PARENT = """
import os, subprocess, sys, time
sampler = subprocess.Popen(
    [sys.executable, "-m", "clary.jobs.sample_system", *sys.argv[1:], "--parent", str(os.getpid())]
)
print(sampler.pid, flush=True)
sys.stdin.read()
"""


def snapshots(folder: Path) -> int:
    metrics = SystemMetrics(folder)
    metrics.refresh()
    return len(metrics.series("Memory", "MemoryUsedPercent")[0])


def lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # One that nobody waits for any more is a zombie until its new parent looks.
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


def start(*arguments: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "clary.jobs.sample_system", *arguments]
    return subprocess.Popen([*command, "--parent", str(os.getpid())], stderr=subprocess.PIPE)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, None])
def test_it_ends_with_its_parent(tmp_path: Path, how: signal.Signals | None) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path), "--interval-ms", "100"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert parent.stdout is not None
    assert parent.stdin is not None
    sampler = int(parent.stdout.readline())
    until(lambda: snapshots(tmp_path) >= 1)
    if how is None:
        parent.stdin.close()
    else:
        parent.send_signal(how)
    parent.wait()
    until(lambda: not lives(sampler))


def test_sigterm_ends_it_after_a_last_snapshot_and_ctrl_c_does_not(tmp_path: Path) -> None:
    process = start(str(tmp_path), "--interval-ms", "60000", "--node", "algo-3")
    try:
        # Its handlers are there before the thread that samples.
        until(lambda: len(list(Path(f"/proc/{process.pid}/task").iterdir())) > 1)
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGHUP)
        time.sleep(0.3)
        assert process.poll() is None
        process.terminate()
        assert process.wait(PATIENCE_S) == 0
    finally:
        process.kill()
    assert snapshots(tmp_path) == 1
    (path,) = tmp_path.rglob("*.json")
    assert path.name.endswith(".algo-3.json")


def test_it_follows_a_configuration(tmp_path: Path) -> None:
    file = tmp_path / "profilerconfig.json"
    process = start(str(tmp_path / "profiler"), "--configuration", str(file))
    try:
        write_json(file, {"ProfilingIntervalInMilliseconds": 100})
        until(lambda: snapshots(tmp_path / "profiler") >= 2)
    finally:
        process.terminate()
        assert process.wait(PATIENCE_S) == 0


def test_it_measures_the_tree_of_its_parent_without_itself(tmp_path: Path) -> None:
    process = start(str(tmp_path), "--interval-ms", "100")
    try:
        until(lambda: snapshots(tmp_path) >= 2)
    finally:
        process.terminate()
        process.wait(PATIENCE_S)
    metrics = SystemMetrics(tmp_path)
    metrics.refresh()
    # This process, which waits; what else the tests may have left running is none of its children.
    assert metrics.series("Process", "Processes")[1].min() >= 1
    resident = metrics.series("Process", "MemoryBytes")[1]
    assert resident.min() > 10e6


def test_a_machine_that_slept_has_a_gap_and_no_burst_after_it(tmp_path: Path) -> None:
    process = start(str(tmp_path), "--interval-ms", "100")
    try:
        until(lambda: snapshots(tmp_path) >= 2)
        process.send_signal(signal.SIGSTOP)
        time.sleep(1.5)
        process.send_signal(signal.SIGCONT)
        seen = snapshots(tmp_path)
        until(lambda: snapshots(tmp_path) >= seen + 4)
    finally:
        process.terminate()
        process.wait(PATIENCE_S)
    metrics = SystemMetrics(tmp_path)
    metrics.refresh()
    times, _ = metrics.series("Memory", "MemoryUsedPercent")
    gaps = np.diff(times)
    assert gaps.max() > 1.3
    awake = times[int(gaps.argmax()) + 1 :]
    # The fifteen that were missed are not made up for; one more is taken when the end comes.
    assert len(awake) <= (awake[-1] - awake[0]) / 0.1 + 3


def test_a_wrong_argument_is_one_sentence(tmp_path: Path) -> None:
    process = start(str(tmp_path), "--interval-ms", "often")
    _, said = process.communicate()
    assert process.returncode == 2
    assert said.decode().startswith("clary: argument --interval-ms: invalid int value: 'often'")
