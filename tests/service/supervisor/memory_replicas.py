"""Replicas that live in memory: a world that outlives supervisors, as processes do."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from clary.errors import ClaryError
from clary.service.executors.replica_executor import Alive, Over, ReplicaSpec, Sight, Unlaunched
from clary.service.executors.served_models import ModelSource, PreparedModel


@dataclass
class Replica:
    """One replica. `answers` says whether it serves, `heeds_sigterm` whether SIGTERM ends it."""

    folder: Path
    sight: Sight
    answers: bool = True
    heeds_sigterm: bool = True
    starts: int = 0


class MemoryPreparation:
    """Prepares nothing. `fails` gives the failure of the models of a name."""

    def __init__(self) -> None:
        self.fails: dict[str, ClaryError] = {}
        self.cancelled: set[str] = set()
        self.hold = threading.Event()
        self.hold.set()

    def prepare(self, source: ModelSource, folder: Path) -> PreparedModel:
        self.hold.wait(30)
        failure = self.fails.get(str(source.request.get("ModelName")))
        if failure is not None:
            raise failure
        return PreparedModel(identity=source.identity, kind="script", model=folder)

    def bring_one(self, source: ModelSource, target: str, folder: Path) -> None:
        self.hold.wait(30)
        assert list(folder.iterdir()) == []
        failure = self.fails.get(target)
        if failure is not None:
            raise failure

    def cancel(self, identity: str) -> None:
        self.cancelled.add(identity)

    def forget(self, identity: str) -> None:
        self.cancelled.discard(identity)


class MemoryReplicas:
    """Runs nothing; the test says how replicas fare. `dies` names variants that do not come up."""

    def __init__(self) -> None:
        self.preparation = MemoryPreparation()
        self.dies: dict[str, str] = {}
        self.silent: set[str] = set()
        self.folders: dict[Path, Replica] = {}
        # Cleared to let whoever looks at replicas stand still.
        self.moving = threading.Event()
        self.moving.set()
        self.pid: int | None = None
        self.specs: list[ReplicaSpec] = []
        self.discarded: list[Path] = []
        self._lock = threading.RLock()

    def of(self, instance: str) -> Replica:
        with self._lock:
            return next(one for path, one in self.folders.items() if path.name == instance)

    def die(self, instance: str, reason: str = "killed") -> None:
        self.of(instance).sight = Over(reason, told=False)

    def start(self, spec: ReplicaSpec) -> None:
        with self._lock:
            replica = self.folders.setdefault(spec.folder, Replica(spec.folder, Unlaunched()))
            replica.starts += 1
            if replica.starts > 1:
                return
            self.specs.append(spec)
            reason = self.dies.get(spec.variant)
            replica.sight = Alive(1024 + len(self.specs)) if reason is None else Over(reason)
            replica.answers = spec.variant not in self.silent

    def look(self, folder: Path) -> Sight:
        self.moving.wait(30)
        with self._lock:
            replica = self.folders.get(folder)
            return Unlaunched() if replica is None else replica.sight

    def answers(self, port: int) -> bool:
        with self._lock:
            return any(one.sight == Alive(port) and one.answers for one in self.folders.values())

    def process(self, folder: Path) -> int | None:
        return self.pid

    def gpu(self, folder: Path) -> int | None:
        return next((spec.gpu for spec in self.specs if spec.folder == folder), None)

    def log(self, folder: Path) -> Path:
        return folder / "logs" / "algo-1.log"

    def terminate(self, folder: Path) -> None:
        with self._lock:
            replica = self.folders[folder]
            if replica.heeds_sigterm and isinstance(replica.sight, Alive):
                replica.sight = Over("")

    def kill(self, folder: Path) -> None:
        with self._lock:
            if isinstance(self.folders[folder].sight, Alive):
                self.folders[folder].sight = Over("killed", told=False)

    def discard(self, folder: Path) -> None:
        self.discarded.append(folder)

    def living(self, root: Path) -> Iterable[Path]:
        with self._lock:
            return [path for path, one in self.folders.items() if isinstance(one.sight, Alive)]
