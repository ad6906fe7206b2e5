"""An executor whose hosts live in memory: a world that outlives supervisors, as processes do."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

from clary.errors import ClaryError, StorageError
from clary.formats.log_file import encode_events
from clary.service.executors.executor import (
    Artifacts,
    Ended,
    Gone,
    HostLog,
    Observation,
    Running,
    TrainingJobSpec,
    Waiting,
)
from tests.service.supervisor.memory_checkers import MemoryCheckers
from tests.service.supervisor.memory_replicas import MemoryReplicas


@dataclass
class Hosts:
    """The hosts of one job. `heeds_sigterm` says whether SIGTERM ends them."""

    launches: int = 0
    observation: Observation = field(default_factory=Waiting)
    heeds_sigterm: bool = True
    signals: list[str] = field(default_factory=list)


class MemoryExecutor:
    """Runs nothing; the test says how hosts end.

    Thread-safe. `prepares`, `collects` and `refuse_launch` make calls fail; `before` and `after`
    are called with a method's name around its effect, and may raise to cut it off there;
    `before_logs` is called by the threads that read logs.
    """

    def __init__(self) -> None:
        self.hosts: dict[str, Hosts] = {}
        self.prepares: dict[str, ClaryError] = {}
        self.collects: dict[str, ClaryError] = {}
        self.refuse_launch: set[str] = set()
        self.discarded: list[str] = []
        self.prepared: list[TrainingJobSpec] = []
        self.configured: list[Mapping[str, Any]] = []
        self.checkers = MemoryCheckers()
        self.replicas = MemoryReplicas()
        self.before: Callable[[str], None] = lambda method: None
        self.after: Callable[[str], None] = lambda method: None
        self.before_logs: Callable[[], None] = lambda: None
        self.hold_prepare = threading.Event()
        self.hold_prepare.set()
        self._lock = threading.RLock()

    def of(self, name: str) -> Hosts:
        with self._lock:
            return self.hosts.setdefault(name, Hosts())

    def run(self, name: str) -> None:
        self.of(name).observation = Running(datetime.now(timezone.utc))

    def end(self, name: str, exit_code: int = 0, failure: str | None = None) -> None:
        self.of(name).observation = Ended(exit_code, failure, datetime.now(timezone.utc))

    def vanish(self, name: str) -> None:
        self.of(name).observation = Gone("AlgorithmError: the host process was killed")

    def write_log(self, job: TrainingJobSpec, *lines: tuple[int, str]) -> None:
        path = self.logs(job)[0].path
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as file:
            file.write(encode_events(lines))

    def prepare(self, job: TrainingJobSpec, say: Callable[[str], None]) -> None:
        self.before("prepare")
        say("Downloading input data")
        self.hold_prepare.wait(30)
        if job.name in self.prepares:
            raise self.prepares[job.name]
        job.directory.create()
        self.prepared.append(job)
        self.after("prepare")

    def launch(self, job: TrainingJobSpec) -> None:
        self.before("launch")
        if job.name in self.refuse_launch:
            raise StorageError("no process can be started: free some memory")
        hosts = self.of(job.name)
        if not hosts.launches:
            hosts.launches += 1
            if isinstance(hosts.observation, Waiting):
                self.run(job.name)
        self.after("launch")

    def look(self, job: TrainingJobSpec) -> Observation:
        self.before("look")
        hosts = self.of(job.name)
        return hosts.observation if hosts.launches else Waiting()

    def configure(self, job: TrainingJobSpec) -> None:
        self.before("configure")
        self.configured.append(job.in_effect)
        self.after("configure")

    def logs(self, job: TrainingJobSpec) -> tuple[HostLog, ...]:
        self.before_logs()
        return tuple(
            HostLog(f"{job.name}/{host}-1764757000", job.directory.root / "logs" / f"{host}.log")
            for host in job.host_names
        )

    def processes(self, job: TrainingJobSpec) -> Mapping[str, int]:
        return {}

    def terminate(self, job: TrainingJobSpec) -> None:
        self.before("terminate")
        self._signal(job.name, "TERM", 143, heeded=self.of(job.name).heeds_sigterm)
        self.after("terminate")

    def kill(self, job: TrainingJobSpec) -> None:
        self.before("kill")
        self._signal(job.name, "KILL", 137, heeded=True)
        self.after("kill")

    def _signal(self, name: str, signal: str, code: int, *, heeded: bool) -> None:
        hosts = self.of(name)
        hosts.signals.append(signal)
        if hosts.launches and heeded and not isinstance(hosts.observation, Ended | Gone):
            self.end(name, code, f"AlgorithmError: killed by SIG{signal}")

    def collect(self, job: TrainingJobSpec) -> Artifacts:
        self.before("collect")
        if job.name in self.collects:
            raise self.collects[job.name]
        self.after("collect")
        return Artifacts(model=f"s3://bucket/{job.name}/output/model.tar.gz", output=None)

    def discard(self, job: TrainingJobSpec) -> None:
        self.before("discard")
        self.discarded.append(job.name)
        shutil.rmtree(job.directory.root, ignore_errors=True)
        self.after("discard")

    def close(self) -> None:
        pass
