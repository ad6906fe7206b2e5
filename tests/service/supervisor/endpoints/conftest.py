"""A state, replicas in memory, and endpoints as the operations store them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from clary.service.invocations.traffic import Traffic
from clary.service.state.endpoints import EndpointRecord, Pending, VariantState
from clary.service.state.replicas import LIVING, SERVING, ReplicaRecord
from clary.service.state.state import State
from clary.service.supervisor.endpoints.supervisor import EndpointSupervisor
from clary.service.supervisor.endpoints.workplace import EndpointTiming
from clary.settings import Settings
from tests.service.supervisor.memory_replicas import MemoryReplicas
from tests.waiting import PATIENCE_S, until

QUICK = EndpointTiming(
    tick_s=0.005,
    calm_tick_s=0.01,
    settle_s=0.01,
    drain_s=-59.7,  # of a deadline of 60 s
    health_s=0.02,
    unhealthy_s=0.5,
    backoff_s=0.02,
    backoff_limit_s=0.1,
    proven_s=30.0,
    idle_s=0.4,
    scaling_s=0.05,
    sample_s=0.05,
    retry_s=0.05,
)


def variant(name: str = "AllTraffic", model: str = "m", count: int = 1, **more: Any) -> Any:
    """A production variant as CreateEndpointConfig stores it."""
    sized = {} if "ServerlessConfig" in more else {"InitialInstanceCount": count}
    return {
        "VariantName": name,
        "ModelName": model,
        "InstanceType": "ml.m5.large",
        "InitialVariantWeight": 1.0,
        **sized,
        **more,
    }


def configuration(*variants: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """An endpoint's configuration, with the models that it names."""
    everything = [*variants, *more.get("ShadowProductionVariants", ())]
    models = {
        one["ModelName"]: {"ModelName": one["ModelName"], "PrimaryContainer": {"Image": "i"}}
        for one in everything
    }
    return {"ProductionVariants": list(variants), **more, "_models": models}


def states(config: Mapping[str, Any]) -> tuple[VariantState, ...]:
    """The variants before they have an instance."""
    return tuple(
        VariantState(
            name=one["VariantName"],
            weight=one["InitialVariantWeight"],
            count=0,
            desired_weight=one["InitialVariantWeight"],
            desired_count=one.get("InitialInstanceCount", 0),
            shadow=member.startswith("Shadow"),
        )
        for member in ("ProductionVariants", "ShadowProductionVariants")
        for one in config.get(member, ())
    )


def now_ms() -> int:
    return int(time.time() * 1000)


class Stage:
    """Endpoints, what takes care of them, and a world of replicas that outlives that."""

    def __init__(
        self,
        state: State,
        settings: Settings,
        replicas: Any = None,
        timing: EndpointTiming = QUICK,
    ) -> None:
        self.state = state
        self.settings = settings
        self.replicas = MemoryReplicas() if replicas is None else replicas
        self.timing = timing
        self.traffic = Traffic()
        self.supervisor = self._new()

    def _new(self) -> EndpointSupervisor:
        return EndpointSupervisor(
            self.state,
            self.replicas,
            self.settings,
            environment=dict,
            traffic=self.traffic,
            timing=self.timing,
        )

    def __enter__(self) -> Stage:
        self.supervisor.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.supervisor.close()

    def restart(self) -> None:
        """Another supervisor on what is stored, as after a kill."""
        self.supervisor.close()
        self.supervisor = self._new()
        self.supervisor.start()

    def create(self, name: str, config: Mapping[str, Any]) -> None:
        at_ms = now_ms()
        record = EndpointRecord(
            name=name,
            arn=f"arn:aws:sagemaker:us-east-1:000000000000:endpoint/{name}",
            status="Creating",
            config_name="c",
            config=config,
            created_ms=at_ms,
            modified_ms=at_ms,
            variants=states(config),
        )
        assert self.state.endpoints.add(record) is None
        self.supervisor.wake()

    def change(self, name: str, change: Callable[[EndpointRecord], EndpointRecord]) -> None:
        assert self.state.endpoints.change(name, change) is not None
        self.supervisor.wake()

    def pending(self, record: EndpointRecord, config: Mapping[str, Any], **more: Any) -> Pending:
        fleet = record.fleets + 1
        return Pending("c2", config, fleet, now_ms(), variants=states(config), **more)

    def reach(self, name: str, satisfied: Callable[[EndpointRecord], bool] | str) -> EndpointRecord:
        wanted = satisfied if callable(satisfied) else lambda one: one.status == satisfied
        record = self.supervisor.wait_until(name, wanted, PATIENCE_S)
        assert record is not None
        assert wanted(record), record
        return record

    def gone(self, name: str) -> None:
        assert self.supervisor.wait_until(name, lambda one: False, PATIENCE_S) is None

    def living(self, name: str) -> list[ReplicaRecord]:
        record = self.state.endpoints.find(name)
        return [] if record is None else self.state.replicas.select(LIVING, record.number)

    def serving(self, name: str, fleet: int | None = None) -> list[ReplicaRecord]:
        return [
            one for one in self.living(name) if one.status == SERVING and fleet in {None, one.fleet}
        ]

    def eventually(self, satisfied: Callable[[], bool]) -> None:
        until(satisfied, self.state.replicas.select, pause_s=0.005)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home")


@pytest.fixture
def stage(settings: Settings) -> Iterator[Stage]:
    state = State(settings.state_file)
    with Stage(state, settings) as stage:
        yield stage
    state.close()
