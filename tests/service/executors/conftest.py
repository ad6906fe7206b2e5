"""A home with buckets, and jobs whose script is written in the test."""

from __future__ import annotations

import io
import json
import os
import tarfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from clary.formats.job_directory import JobDirectory
from clary.formats.log_file import read_events
from clary.object_store.store import ObjectStore
from clary.service.executors.executor import Ended, Gone, Observation, TrainingJobSpec
from clary.service.executors.local_processes import LocalProcesses
from clary.settings import Settings
from tests.waiting import until

BUCKET = "bench"


@dataclass
class Bench:
    """Builds job specs, and runs them to their end."""

    settings: Settings
    store: ObjectStore

    def put(self, key: str, content: bytes | str) -> str:
        data = content.encode() if isinstance(content, str) else content
        self.store.put(BUCKET, key, io.BytesIO(data))
        return f"s3://{BUCKET}/{key}"

    def code(self, files: Mapping[str, str]) -> str:
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
            for name, text in files.items():
                about = tarfile.TarInfo(name)
                about.size, about.mode = len(text.encode()), 0o755
                tar.addfile(about, io.BytesIO(text.encode()))
        return self.put(f"code/{time.monotonic_ns()}/sourcedir.tar.gz", buffer.getvalue())

    def job(self, name: str, **request: Any) -> TrainingJobSpec:
        """A job of any kind; what is given replaces members of the request."""
        algorithm = {"TrainingImage": "x/pytorch-training:2.0-cpu", "TrainingInputMode": "File"}
        algorithm.update(request.pop("AlgorithmSpecification", {}))
        arn = f"arn:aws:sagemaker:us-east-1:000000000000:training-job/{name}"
        return TrainingJobSpec(
            name,
            arn,
            {
                "TrainingJobName": name,
                "RoleArn": "arn:aws:iam::000000000000:role/ClaryRole",
                "AlgorithmSpecification": algorithm,
                "OutputDataConfig": {"S3OutputPath": f"s3://{BUCKET}/out/"},
                "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1},
                **request,
            },
            JobDirectory(self.settings.jobs_dir / name),
            {"CLARY_HOME": str(self.settings.home)},
        )

    def script(
        self,
        name: str,
        text: str,
        *,
        files: Mapping[str, str] | None = None,
        program: str = "train.py",
        hyperparameters: Mapping[str, str] | None = None,
        **request: Any,
    ) -> TrainingJobSpec:
        """A job in script mode."""
        uri = self.code({program: text, **(files or {})})
        told = {
            "sagemaker_program": json.dumps(program),
            "sagemaker_submit_directory": json.dumps(uri),
            **(hyperparameters or {}),
        }
        return self.job(name, HyperParameters=told, **request)

    def begin(self, executor: LocalProcesses, job: TrainingJobSpec) -> None:
        executor.prepare(job, lambda message: None)
        executor.launch(job)

    def end(self, executor: LocalProcesses, job: TrainingJobSpec) -> Observation:
        """Wait until the job has ended."""

        def end() -> Observation | None:
            seen = executor.look(job)
            return seen if isinstance(seen, Ended | Gone) else None

        try:
            return until(end, partial(self.lines, executor, job))
        except AssertionError:
            executor.kill(job)
            raise

    def run(self, executor: LocalProcesses, job: TrainingJobSpec) -> Observation:
        self.begin(executor, job)
        return self.end(executor, job)

    def lines(self, executor: LocalProcesses, job: TrainingJobSpec) -> list[str]:
        return [event.message for log in executor.logs(job) for event in read_events(log.path)]

    def wait_for_line(self, executor: LocalProcesses, job: TrainingJobSpec, line: str) -> None:
        lines = partial(self.lines, executor, job)
        until(lambda: line in lines(), lines)


def children_running(module: str) -> set[int]:
    """Processes that this one has started with `-m`, and that have not ended."""
    found = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            if _parent(stat) == os.getpid() and module.encode() in _command(stat):
                found.add(int(stat.parent.name))
        except OSError:  # it ended between the listing and the reading
            continue
    return found


def _parent(stat: Path) -> int:
    return int(stat.read_text().rpartition(")")[2].split()[1])


def _command(stat: Path) -> list[bytes]:
    """The command line of a process; one that is just being started has none for a moment."""
    while stat.read_text().rpartition(")")[2].split()[0] != "Z":
        command = (stat.parent / "cmdline").read_bytes()
        if command:
            return command.split(b"\0")
    return []


def channel(name: str, uri: str, **more: Any) -> dict[str, Any]:
    """A channel; members of its S3DataSource may be among what is given."""
    of_source = ("S3DataType", "S3DataDistributionType", "AttributeNames")
    source = {"S3DataType": "S3Prefix", "S3Uri": uri}
    source.update({key: more.pop(key) for key in of_source if key in more})
    return {"ChannelName": name, "DataSource": {"S3DataSource": source}, **more}


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    settings = Settings(home=tmp_path / "home")
    store = ObjectStore(settings.buckets_dir)
    store.create_bucket(BUCKET)
    yield Bench(settings, store)
    store.close()


@pytest.fixture
def executor(bench: Bench) -> Iterator[LocalProcesses]:
    """Cold: nothing is loaded before a job asks for it."""
    executor = LocalProcesses(bench.settings, bench.store, warm=False)
    yield executor
    executor.close()


MakeExecutor = Callable[..., LocalProcesses]


@pytest.fixture
def make_executor(bench: Bench) -> Iterator[MakeExecutor]:
    """A function that makes an executor on the bench; all are closed at the end."""
    made: list[LocalProcesses] = []

    def make(**options: Any) -> LocalProcesses:
        made.append(LocalProcesses(bench.settings, bench.store, **options))
        return made[-1]

    yield make
    for executor in made:
        executor.close()
