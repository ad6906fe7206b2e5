"""Replicas as real processes."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from clary.formats.log_file import read_events
from clary.service.executors.local_processes import LocalProcesses
from clary.service.executors.replica_executor import Alive, Over, ReplicaSpec, Unlaunched
from clary.service.executors.replicas.processes import ReplicaProcesses
from tests.service.executors.conftest import Bench
from tests.service.executors.replicas.conftest import colour_model
from tests.waiting import until


class Replica:
    """One replica, and what can be seen of it."""

    def __init__(self, replicas: ReplicaProcesses, spec: ReplicaSpec) -> None:
        self.replicas = replicas
        self.spec = spec
        self.folder = spec.folder

    def wait_for(self, kind: type[Alive] | type[Over], *, port: bool = False) -> Alive | Over:
        def found() -> Alive | Over | None:
            seen = self.replicas.look(self.folder)
            return seen if isinstance(seen, kind) and not (port and seen == Alive(None)) else None

        return until(found, self.lines)

    def serve(self) -> int:
        self.replicas.start(self.spec)
        seen = self.wait_for(Alive, port=True)
        assert isinstance(seen, Alive)
        assert seen.port is not None
        port = seen.port
        until(lambda: self.replicas.answers(port), self.lines)
        return port

    def lines(self) -> list[str]:
        path = self.replicas.log(self.folder)
        return [event.message for event in read_events(path)] if path.exists() else []


@pytest.fixture
def replica(bench: Bench, executor: LocalProcesses, tmp_path: Path) -> Iterator[Replica]:
    replicas = executor.replicas
    folder = bench.settings.endpoints_dir / "e" / "1"
    prepared = replicas.preparation.prepare(
        colour_model(bench, tmp_path / "m"), folder / "models" / "v"
    )
    one = Replica(
        replicas,
        ReplicaSpec(
            "e", "v", "i-1", folder / "i-1", prepared, {"CLARY_HOME": str(bench.settings.home)}
        ),
    )
    yield one
    replicas.kill(one.folder)
    if not isinstance(replicas.look(one.folder), Unlaunched):
        one.wait_for(Over)


def test_it_serves_until_it_is_asked_to_end(bench: Bench, replica: Replica) -> None:
    assert replica.replicas.look(replica.folder) == Unlaunched()
    replica.replicas.terminate(replica.folder)
    port = replica.serve()
    assert replica.replicas.process(replica.folder)
    assert list(replica.replicas.living(bench.settings.endpoints_dir)) == [replica.folder]
    replica.replicas.terminate(replica.folder)
    assert replica.wait_for(Over) == Over("")
    assert not replica.replicas.answers(port)
    assert replica.replicas.process(replica.folder) is None
    replica.replicas.discard(replica.folder)
    assert [entry.name for entry in replica.folder.iterdir()] == ["logs"]
    assert replica.lines()
    assert replica.spec.prepared.model.is_dir()
    replica.replicas.discard(replica.folder)


def test_it_is_started_once(replica: Replica) -> None:
    replica.serve()
    pid = replica.replicas.process(replica.folder)
    before = {path: path.read_bytes() for path in replica.folder.glob("[.r]*.json")}
    assert len(before) >= 3
    replica.replicas.start(replica.spec)
    assert replica.replicas.process(replica.folder) == pid
    assert {path: path.read_bytes() for path in replica.folder.glob("[.r]*.json")} == before


def test_one_that_was_killed_says_nothing(replica: Replica) -> None:
    replica.serve()
    pid = replica.replicas.process(replica.folder)
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    seen = replica.wait_for(Over)
    assert isinstance(seen, Over)
    assert not seen.told
    assert "killed" in seen.reason


def test_one_that_cannot_serve_says_why(replica: Replica) -> None:
    assert replica.spec.prepared.converted is not None
    shutil.rmtree(replica.spec.prepared.converted)
    replica.replicas.start(replica.spec)
    seen = replica.wait_for(Over)
    assert isinstance(seen, Over)
    assert seen.told
    assert not seen.reason.startswith(("AlgorithmError", "clary:"))
    assert "exit code" not in seen.reason
