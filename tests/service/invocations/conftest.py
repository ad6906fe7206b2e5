"""The real application over HTTP; endpoints are rows of the state, replicas small servers."""

from __future__ import annotations

import itertools
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import pytest
import uvicorn
from botocore.config import Config

from clary.errors import ClaryError
from clary.formats.credentials import Credentials
from clary.object_store.store import ObjectStore
from clary.service.app import App
from clary.service.invocations.invocations import Invocations
from clary.service.invocations.traffic import Traffic
from clary.service.keys import ACCOUNT, KeyRing
from clary.service.office import Office
from clary.service.operations.table import COPYING, INVOKING, OPERATIONS, PATIENT
from clary.service.protocol.chain import Chain
from clary.service.service_log import ServiceLog
from clary.service.state.endpoints import EndpointRecord, VariantState
from clary.service.state.replicas import SERVING, ReplicaRecord
from clary.service.state.state import State
from clary.service.supervisor.supervisor import Supervisor
from clary.settings import Settings
from tests.service.invocations.tiny_replica import Answer, TinyReplica, echo
from tests.service.supervisor.conftest import QUICK
from tests.service.supervisor.memory_executor import MemoryExecutor

_numbers = itertools.count()


class Stage:
    """One service whose endpoints are put into its state; nothing moves them but the test."""

    def __init__(self, home: Path, port: int) -> None:
        self.settings = Settings(home=home)
        self.port = port
        self.credentials = Credentials.ensure(self.settings)
        self.state = State(self.settings.state_file)
        self.store = ObjectStore(self.settings.buckets_dir)
        self.traffic = Traffic()
        self.supervisor = Supervisor(self.state, MemoryExecutor(), self.settings, dict, QUICK)
        self.wanted: list[tuple[str, str]] = []
        # What there is to fetch: (endpoint, variant, target model) and the model's folder.
        self.models: dict[tuple[str, str, str], str | None] = {}
        self.invocations = self.new_invocations()
        self.office = Office(
            settings=self.settings,
            region=self.credentials.region,
            store=self.store,
            state=self.state,
            supervisor=self.supervisor,
            keys=KeyRing(self.credentials),
            traffic=self.traffic,
            invocations=self.invocations,
            transforms=None,  # type: ignore[arg-type]
        )
        self._clients: dict[str, Any] = {}

    def new_invocations(self) -> Invocations:
        return Invocations(
            self.state,
            self.store,
            self.traffic,
            region=self.credentials.region,
            account=ACCOUNT,
            want=lambda endpoint, variant: self.wanted.append((endpoint, variant)),
            fetch_model=self._fetch_model,
        )

    def _fetch_model(self, endpoint: str, variant: str, target: str) -> str | None:
        try:
            return self.models[endpoint, variant, target]
        except KeyError:
            raise ClaryError(f"Failed to download model data ({target}).") from None

    def client(self, name: str) -> Any:
        """A client that tries once; one for all tests: making them takes long."""
        if name not in self._clients:
            self._clients[name] = self.new_client(name, self.port)
        return self._clients[name]

    def new_client(self, name: str, port: int) -> Any:
        return boto3.session.Session(
            aws_access_key_id=self.credentials.access_key,
            aws_secret_access_key=self.credentials.secret_key,
            region_name=self.credentials.region,
        ).client(
            name,
            endpoint_url=f"http://127.0.0.1:{port}",
            config=Config(retries={"total_max_attempts": 1}, max_pool_connections=50),
        )

    def endpoint(
        self,
        variants: Sequence[VariantState],
        ports: Mapping[str, Sequence[int]],
        *,
        status: str = "InService",
        variant: Mapping[str, Any] | None = None,
        model: Mapping[str, Any] | None = None,
        listed: bool = False,
        **config: Any,
    ) -> str:
        """Put an endpoint into the state, with a replica for each port; its name.

        `variant` is added to the request of each variant, `model` to the model's container, which
        is `listed` or alone, `config` to the endpoint's configuration.
        """
        name = f"endpoint-{next(_numbers)}"
        now_ms = int(time.time() * 1000)
        requests = {
            shadow: [
                {"VariantName": one.name, "ModelName": "model", **(variant or {})}
                for one in variants
                if one.shadow == shadow
            ]
            for shadow in (False, True)
        }
        container = {"Image": "image", **(model or {})}
        record = EndpointRecord(
            name=name,
            arn=self.office.arn(f"endpoint/{name}"),
            status=status,
            config_name=name,
            config={
                "ProductionVariants": requests[False],
                "ShadowProductionVariants": requests[True],
                "_models": {
                    "model": {"Containers": [container]}
                    if listed
                    else {"PrimaryContainer": container}
                },
                **config,
            },
            created_ms=now_ms,
            modified_ms=now_ms,
            variants=tuple(variants),
        )
        assert self.state.endpoints.add(record) is None
        for variant_name, listening in ports.items():
            for port in listening:
                self.replica(name, variant_name, port)
        return name

    def replica(self, endpoint: str, variant: str, port: int) -> ReplicaRecord:
        """Let a replica serve."""
        record = self.state.endpoints.find(endpoint)
        assert record is not None
        state = record.variant(variant)
        assert state is not None
        return self.state.replicas.add(
            ReplicaRecord(
                endpoint=record.number,
                fleet=record.fleet,
                variant=variant,
                instance=f"i-{next(_numbers):017x}",
                created_ms=record.created_ms,
                status=SERVING,
                shadow=state.shadow,
                port=port,
            )
        )

    def close(self) -> None:
        self.invocations.close()
        self.store.close()
        self.state.close()


def one_variant(name: str = "AllTraffic", weight: float = 1.0, *, shadow: bool = False) -> Any:
    """A variant of one instance."""
    return VariantState(name, weight, 1, weight, 1, shadow)


@pytest.fixture(scope="package")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """One service for all tests here."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        stage = Stage(tmp_path_factory.mktemp("stage"), listener.getsockname()[1])
        stage.invocations.start()
        with answering(stage, listener):
            yield stage
        stage.close()


@contextmanager
def answering(stage: Stage, listener: socket.socket, **options: Any) -> Iterator[None]:
    """The application on a port; `options` are those of `App`."""
    log = ServiceLog(stage.settings.service_log)
    chain = Chain(stage.office, OPERATIONS, stage.office.keys)
    app = App(chain, log, patient=PATIENT, copying=COPYING, invoking=INVOKING, **options)
    server = uvicorn.Server(uvicorn.Config(app, lifespan="off", log_level="warning"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield
    server.should_exit = True
    thread.join()
    app.close()


@pytest.fixture
def replica() -> Iterator[Callable[..., TinyReplica]]:
    """A function that starts a small server with an answer for everything."""
    started = []

    def start(answer: Answer = echo) -> TinyReplica:
        started.append(TinyReplica(answer))
        return started[-1]

    yield start
    for one in started:
        one.close()


Start = Callable[..., TinyReplica]


@pytest.fixture
def serve(stage: Stage, replica: Start) -> Callable[..., tuple[str, TinyReplica]]:
    """A function that makes an endpoint of one replica: its name, and the replica."""

    def make(answer: Answer = echo, **options: Any) -> tuple[str, TinyReplica]:
        started = replica(answer)
        return stage.endpoint([one_variant()], {"AllTraffic": [started.port]}, **options), started

    return make
