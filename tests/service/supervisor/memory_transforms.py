"""Hosts of transform jobs that live in memory: a world that outlives supervisors."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone

from clary.errors import ClaryError
from clary.service.executors.executor import Ended, Gone, HostLog, Observation, Running, Waiting
from clary.service.executors.transform_executor import TransformSpec


@dataclass
class TransformHosts:
    """The hosts of one job. `heeds_sigterm` says whether SIGTERM ends them."""

    launches: int = 0
    observation: Observation = field(default_factory=Waiting)
    heeds_sigterm: bool = True
    signals: list[str] = field(default_factory=list)
    collected: int = 0
    tidied: int = 0


class MemoryTransforms:
    """Runs nothing; the test says how hosts end. `fails` makes a method fail for a job.

    `hold_prepare` holds all preparations while it is not set, `hold_launch` the launches of jobs
    whose names begin with "held".
    """

    def __init__(self) -> None:
        self.hosts: dict[str, TransformHosts] = {}
        self.fails: dict[tuple[str, str], ClaryError] = {}
        self.hold_prepare = threading.Event()
        self.hold_prepare.set()
        self.hold_launch = threading.Event()
        self.hold_launch.set()
        self._lock = threading.RLock()

    def of(self, name: str) -> TransformHosts:
        with self._lock:
            return self.hosts.setdefault(name, TransformHosts())

    def end(self, name: str, exit_code: int = 0, failure: str | None = None) -> None:
        self.of(name).observation = Ended(exit_code, failure, datetime.now(timezone.utc))

    def lose(self, name: str) -> None:
        self.of(name).observation = Gone("InternalServerError: gone")

    def prepare(self, job: TransformSpec) -> None:
        self.hold_prepare.wait(30)
        self._fail("prepare", job)

    def launch(self, job: TransformSpec) -> None:
        if job.name.startswith("held"):
            self.hold_launch.wait(30)
        self._fail("launch", job)
        hosts = self.of(job.name)
        if hosts.launches == 0:  # as the real one, which finds what it has launched
            hosts.observation = Running(datetime.now(timezone.utc))
            hosts.launches += 1

    def look(self, job: TransformSpec) -> Observation:
        return self.of(job.name).observation

    def logs(self, job: TransformSpec) -> tuple[HostLog, ...]:
        return ()

    def processes(self, job: TransformSpec) -> Mapping[str, int]:
        return {}

    def terminate(self, job: TransformSpec) -> None:
        hosts = self.of(job.name)
        hosts.signals.append("TERM")
        if hosts.heeds_sigterm and isinstance(hosts.observation, Running):
            self.end(job.name, 143)

    def kill(self, job: TransformSpec) -> None:
        hosts = self.of(job.name)
        hosts.signals.append("KILL")
        if isinstance(hosts.observation, Running):
            self.end(job.name, 137)

    def collect(self, job: TransformSpec) -> None:
        self.of(job.name).collected += 1
        self._fail("collect", job)

    def tidy(self, job: TransformSpec) -> None:
        self.of(job.name).tidied += 1

    def _fail(self, method: str, job: TransformSpec) -> None:
        failure = self.fails.get((method, job.name))
        if failure is not None:
            raise failure
