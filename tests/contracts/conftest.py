"""Worlds in which executors run jobs: each is a place whose hosts outlive the executor."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal, Protocol

import pytest

from clary.formats.job_directory import JobDirectory
from clary.object_store.store import ObjectStore
from clary.service.executors.executor import Executor, TrainingJobSpec
from clary.service.executors.local_processes import LocalProcesses
from clary.settings import Settings
from tests.service.executors.conftest import BUCKET, Bench
from tests.service.supervisor.memory_executor import MemoryExecutor

Behaviour = Literal["succeeds", "fails", "stays"]
FAILURE = "ValueError: as it was told"
SCRIPTS = {
    "succeeds": "print('ran')\n",
    "fails": "print('ran')\nraise ValueError('as it was told')\n",
    "stays": "import time\nprint('ran', flush=True)\ntime.sleep(600)\n",
}


class World(Protocol):
    """Where jobs run. `executor` gives a new one, as a service does that starts anew."""

    def executor(self) -> Executor: ...

    def job(self, name: str, behaviour: Behaviour) -> TrainingJobSpec: ...

    def let_run(self, executor: Executor, job: TrainingJobSpec) -> None:
        """Until the user's code has said its line."""

    def starts(self, executor: Executor, job: TrainingJobSpec) -> int:
        """How often the user's code was started."""

    def close(self) -> None: ...


class LocalWorld:
    """Processes of this machine."""

    def __init__(self, home: Path) -> None:
        settings = Settings(home=home)
        self._bench = Bench(settings, ObjectStore(settings.buckets_dir))
        self._bench.store.create_bucket(BUCKET)
        self._executors: list[LocalProcesses] = []

    def executor(self) -> LocalProcesses:
        for earlier in self._executors:
            earlier.close()
        made = LocalProcesses(self._bench.settings, self._bench.store, warm=False)
        self._executors.append(made)
        return made

    def job(self, name: str, behaviour: Behaviour) -> TrainingJobSpec:
        return self._bench.script(name, SCRIPTS[behaviour])

    def let_run(self, executor: Executor, job: TrainingJobSpec) -> None:
        assert isinstance(executor, LocalProcesses)
        self._bench.wait_for_line(executor, job, "ran")

    def starts(self, executor: Executor, job: TrainingJobSpec) -> int:
        assert isinstance(executor, LocalProcesses)
        return self._bench.lines(executor, job).count("ran")

    def close(self) -> None:
        for executor in self._executors:
            executor.close()
        self._bench.store.close()


class MemoryWorld:
    """Hosts that exist in the test's own memory."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._executor = MemoryExecutor()
        self._behaviours: dict[str, Behaviour] = {}

    def executor(self) -> MemoryExecutor:
        return self._executor

    def job(self, name: str, behaviour: Behaviour) -> TrainingJobSpec:
        self._behaviours[name] = behaviour
        request = {"TrainingJobName": name, "OutputDataConfig": {"S3OutputPath": "s3://b/out"}}
        arn = f"arn:aws:sagemaker:us-east-1:000000000000:training-job/{name}"
        directory = JobDirectory(Settings(home=self._home).jobs_dir / name)
        return TrainingJobSpec(name, arn, request, directory, {})

    def let_run(self, executor: Executor, job: TrainingJobSpec) -> None:
        self._executor.write_log(job, (1, "ran"))
        if self._behaviours[job.name] == "succeeds":
            self._executor.end(job.name)
        elif self._behaviours[job.name] == "fails":
            self._executor.end(job.name, 1, FAILURE)

    def starts(self, executor: Executor, job: TrainingJobSpec) -> int:
        return self._executor.of(job.name).launches

    def close(self) -> None:
        self._executor.close()


@pytest.fixture(params=[LocalWorld, MemoryWorld])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    """Every place in which Clary runs jobs."""
    made = request.param(tmp_path / "home")
    yield made
    made.close()
