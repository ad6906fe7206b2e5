"""The host's sampler: a real host process around a real program."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from clary.formats.files import write_json
from clary.formats.job_directory import JobDirectory
from clary.formats.launch import HostEnded, HostFiles, Launch
from clary.formats.log_file import read_events
from clary.formats.system_metrics import SystemMetrics
from tests.waiting import PATIENCE_S, until


class HostOfScript:
    """A host whose user's program is a line of Python; `end` ends it."""

    def __init__(self, root: Path, program: str = "") -> None:
        self.directory = JobDirectory(root)
        self.directory.create()
        self.files = HostFiles(root)
        self.go = root / "go"
        waiting = f"import pathlib, time\nwhile not pathlib.Path({str(self.go)!r}).exists():\n    "
        self.command = (sys.executable, "-c", f"{waiting}time.sleep(0.02){program}\n")
        self.process: subprocess.Popen[bytes] | None = None

    def configure(self, **content: Any) -> None:
        write_json(self.directory.profiler_configuration, content)

    def start(self) -> None:
        root = self.directory.root
        launch = Launch(
            job="job",
            host="algo-1",
            root=str(root),
            base=str(root),
            log=str(root / "logs" / "algo-1.log"),
            isolation="none",
            command=self.command,
            working_directory=str(root),
            environment=dict(os.environ),
            token="t",
        )
        launch.write(self.files)
        lock = self.files.hold()
        os.set_inheritable(lock, True)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "clary.jobs.host", str(self.files.launch), str(lock)],
            pass_fds=[lock],
        )
        os.close(lock)

    def end(self) -> HostEnded:
        self.go.touch()
        assert self.process is not None
        assert self.process.wait(PATIENCE_S) == 0
        ended = HostEnded.read(self.files)
        assert ended is not None
        return ended

    @property
    def metrics(self) -> SystemMetrics:
        metrics = SystemMetrics(self.directory.profiler)
        metrics.refresh()
        return metrics

    def snapshots(self) -> int:
        return len(self.metrics.series("Memory", "MemoryUsedPercent")[0])

    @property
    def said(self) -> list[str]:
        return [event.message for event in read_events(self.directory.root / "logs" / "algo-1.log")]


@pytest.fixture
def host(tmp_path: Path) -> HostOfScript:
    return HostOfScript(tmp_path / "job")


def test_the_machine_and_the_users_processes_are_sampled_until_the_end(host: HostOfScript) -> None:
    host.configure(ProfilingIntervalInMilliseconds=100)
    host.start()
    until(lambda: host.snapshots() >= 3)
    assert host.end().exit_code == 0
    metrics = host.metrics
    assert metrics.nodes == {"algo-1"}
    # The user's interpreter; the host counts for nothing.
    assert set(metrics.series("Process", "Processes")[1].tolist()) <= {0.0, 1.0, 2.0}
    assert metrics.series("Process", "MemoryBytes")[1].max() > 3e6
    assert host.said == []


def test_a_job_without_a_configuration_is_not_sampled(host: HostOfScript) -> None:
    host.start()
    time.sleep(0.3)
    host.end()
    assert not host.directory.profiler.exists()


def test_a_job_that_is_shorter_than_the_interval_leaves_a_snapshot(host: HostOfScript) -> None:
    host.configure(ProfilingIntervalInMilliseconds=60000)
    host.go.touch()
    host.start()
    host.end()
    assert host.snapshots() == 1


def test_profiling_is_turned_on_and_off_while_the_job_runs(host: HostOfScript) -> None:
    host.configure(DisableProfiler=True)
    host.start()
    time.sleep(0.3)
    assert host.snapshots() == 0
    host.configure(ProfilingIntervalInMilliseconds=100)
    until(lambda: host.snapshots() >= 2)
    host.configure(DisableProfiler=True)

    def is_silent() -> bool:
        taken = host.snapshots()
        time.sleep(0.4)
        return host.snapshots() == taken

    until(is_silent)
    host.end()


def test_what_cannot_be_sampled_is_one_line_of_the_log_and_ends_nothing(
    host: HostOfScript,
) -> None:
    host.configure(ProfilingIntervalInMilliseconds=100)
    host.directory.profiler.parent.mkdir(parents=True, exist_ok=True)
    host.directory.profiler.write_text("a file in the way")
    host.start()
    until(lambda: bool(host.said))
    time.sleep(0.4)
    ended = host.end()
    assert (ended.exit_code, ended.failure) == (0, None)
    assert len(host.said) == 1
    assert host.said[0].startswith("clary profiler: ")
    assert "cannot be written" in host.said[0]


def test_a_failing_program_fails_as_without_it(tmp_path: Path) -> None:
    host = HostOfScript(tmp_path / "job", "\nraise SystemExit(3)")
    host.configure(ProfilingIntervalInMilliseconds=100)
    host.start()
    until(lambda: host.snapshots() >= 1)
    assert host.end().exit_code == 3
