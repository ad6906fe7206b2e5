"""The real application over HTTP with real clients; hosts of jobs live in memory."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
import uvicorn
from botocore.config import Config

from clary.formats.credentials import Credentials
from clary.formats.job_directory import JobDirectory
from clary.object_store.store import ObjectStore
from clary.service.app import App
from clary.service.executors.executor import TrainingJobSpec
from clary.service.invocations.invocations import Invocations
from clary.service.invocations.traffic import Traffic
from clary.service.keys import ACCOUNT, KeyRing
from clary.service.office import Office
from clary.service.operations.table import COPYING, INVOKING, OPERATIONS, PATIENT
from clary.service.protocol.chain import Chain
from clary.service.service_log import ServiceLog
from clary.service.state.state import State
from clary.service.supervisor.supervisor import Supervisor
from clary.service.supervisor.transforms.supervisor import TransformSupervisor
from clary.settings import Settings
from tests.service.supervisor.conftest import QUICK
from tests.service.supervisor.memory_executor import MemoryExecutor
from tests.service.supervisor.memory_transforms import MemoryTransforms
from tests.waiting import until

ROLE = "arn:aws:iam::000000000000:role/ClaryRole"


class Bench:
    """An office that answers on a port, and clients for it."""

    def __init__(self, home: Path, port: int) -> None:
        self.settings = Settings(home=home, max_jobs=4)
        self.port = port
        self.credentials = Credentials.ensure(self.settings)
        self.state = State(self.settings.state_file)
        self.store = ObjectStore(self.settings.buckets_dir)
        self.executor = MemoryExecutor()
        traffic = Traffic()
        self.supervisor = Supervisor(
            self.state, self.executor, self.settings, dict, QUICK, traffic=traffic
        )
        self.invocations = Invocations(
            self.state,
            self.store,
            traffic,
            region=self.credentials.region,
            account=ACCOUNT,
            want=self.supervisor.endpoints.want,
            fetch_model=self.supervisor.endpoints.fetch_model,
        )
        self.transform_executor = MemoryTransforms()
        self.transforms = TransformSupervisor(
            self.state, self.transform_executor, self.settings, job_environment=dict, timing=QUICK
        )
        self.office = Office(
            settings=self.settings,
            region=self.credentials.region,
            store=self.store,
            state=self.state,
            supervisor=self.supervisor,
            keys=KeyRing(self.credentials),
            traffic=traffic,
            invocations=self.invocations,
            transforms=self.transforms,
        )

        self._clients: dict[str, Any] = {}

    def client(self, name: str, **config: Any) -> Any:
        """A client; one for all tests where nothing is configured: making them takes long."""
        if config:
            return self._new_client(name, **config)
        if name not in self._clients:
            self._clients[name] = self._new_client(name)
        return self._clients[name]

    def _new_client(self, name: str, **config: Any) -> Any:
        return boto3.session.Session(
            aws_access_key_id=self.credentials.access_key,
            aws_secret_access_key=self.credentials.secret_key,
            region_name=self.credentials.region,
        ).client(
            name,
            endpoint_url=f"http://127.0.0.1:{self.port}",
            config=Config(retries={"total_max_attempts": 1}, **config),
        )

    def reach(self, name: str, *states: str) -> None:
        job = self.supervisor.wait_until(
            name, lambda job: job.secondary in states or job.status in states, 60
        )
        assert job is not None
        assert {job.secondary, job.status} & {*states}, job

    def reach_rules(self, name: str) -> None:
        """Wait until the job trains and all its rules are judged, and that is stored."""
        self.reach(name, "Training")
        job = self.state.training_jobs.find(name)
        assert job is not None
        evaluations = self.state.rule_evaluations
        until(lambda: all(one.started_ms is not None for one in evaluations.of_job(job.number)))

    def spec(self, name: str) -> TrainingJobSpec:
        job = self.state.training_jobs.find(name)
        assert job is not None
        directory = JobDirectory(self.settings.jobs_dir / name)
        return TrainingJobSpec(name, job.arn, job.request, directory, {}, updates=job.updates)

    def finish(self, name: str, exit_code: int = 0, failure: str | None = None) -> None:
        self.reach(name, "Training")
        self.executor.end(name, exit_code, failure)
        self.reach(name, "Completed", "Failed")


CreateJob = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        bench = Bench(tmp_path_factory.mktemp("bench"), listener.getsockname()[1])
        log = ServiceLog(bench.settings.service_log)
        chain = Chain(bench.office, OPERATIONS, bench.office.keys)
        app = App(chain, log, patient=PATIENT, copying=COPYING, invoking=INVOKING)
        server = uvicorn.Server(uvicorn.Config(app, lifespan="off", log_level="warning"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        bench.supervisor.start()
        bench.transforms.start()
        while not server.started:
            time.sleep(0.01)
        yield bench
        bench.supervisor.release()
        bench.transforms.release()
        server.should_exit = True
        thread.join()
        bench.transforms.close()
        bench.supervisor.close()
        bench.invocations.close()
        app.close()
        bench.store.close()
        bench.state.close()


@pytest.fixture
def create_job(bench: Bench) -> CreateJob:
    """A function that creates a training job as boto3's users do."""
    sagemaker = bench.client("sagemaker")

    def create(name: str, **changes: Any) -> dict[str, Any]:
        request = {
            "TrainingJobName": name,
            "RoleArn": ROLE,
            "AlgorithmSpecification": {
                "TrainingImage": "pytorch-training:2.2",
                "TrainingInputMode": "File",
            },
            "OutputDataConfig": {"S3OutputPath": "s3://bucket/out"},
            "ResourceConfig": {
                "InstanceType": "ml.m5.xlarge",
                "InstanceCount": 1,
                "VolumeSizeInGB": 30,
            },
            "StoppingCondition": {"MaxRuntimeInSeconds": 3600},
            **changes,
        }
        wanted = {name: value for name, value in request.items() if value is not None}
        answer: dict[str, Any] = sagemaker.create_training_job(**wanted)
        return answer

    return create
