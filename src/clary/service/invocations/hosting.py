"""What an invocation has to know of its endpoint, kept until the endpoint changes."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from clary.service.executors.served_models import only_container
from clary.service.state.endpoints import (
    EndpointRecord,
    model_request,
    variant_request,
)
from clary.service.state.replicas import SERVING, ReplicaRecord
from clary.service.state.state import State

# What SageMaker's service model allows, and what serverless endpoints take.
LIMIT_BYTES = 6 << 20
SERVERLESS_LIMIT_BYTES = 4 << 20
# The container's variable that sets another limit, in MiB, where it is not serverless.
_LIMIT_VARIABLE = "SAGEMAKER_MAX_PAYLOAD_IN_MB"
# Those in which a fleet serves.
_ANSWERING = frozenset(
    {"InService", "Updating", "SystemUpdating", "RollingBack", "UpdateRollbackFailed"}
)


@dataclass(frozen=True)
class HostedVariant:
    """A variant, and the replicas of it that serve.

    `weight` is its part of the traffic, beside the other variants' weights. `concurrency` bounds
    what a serverless variant works on at once, `limit_bytes` the body of an invocation.
    """

    name: str
    weight: float
    random: bool
    serverless: bool
    concurrency: int | None
    multi_model: bool
    limit_bytes: int
    replicas: tuple[ReplicaRecord, ...]


@dataclass(frozen=True)
class Hosted:
    """An endpoint that answers, as it was at one moment."""

    name: str
    number: int
    fleet: int
    config: Mapping[str, Any]
    variants: tuple[HostedVariant, ...]
    shadows: tuple[HostedVariant, ...]

    @property
    def asynchronous(self) -> Mapping[str, Any] | None:
        """The configuration of asynchronous inference; None for endpoints that answer at once."""
        return self.config.get("AsyncInferenceConfig")

    @property
    def multi_model(self) -> bool:
        """Whether invocations have to name a model."""
        return any(variant.multi_model for variant in self.variants)

    def variant(self, name: str) -> HostedVariant | None:
        """A production variant by its name."""
        return next((one for one in self.variants if one.name == name), None)


@dataclass(frozen=True)
class Unavailable:
    """An endpoint that is there and does not answer."""

    name: str
    status: str


class Hosting:
    """Reads endpoints and their replicas, again only after a change. Any thread may call."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._lock = threading.Lock()
        self._reading = threading.Lock()
        self._version = (-1, -1)
        self._known: dict[str, Hosted | Unavailable] = {}
        self._changed = threading.Condition()
        self._closed = False
        state.endpoints.listen(self._tell)
        state.replicas.listen(self._tell)

    def close(self) -> None:
        """Let nobody wait any more."""
        self._closed = True
        self._tell()

    @property
    def version(self) -> tuple[int, int]:
        """Another one after each change."""
        return self._state.endpoints.version, self._state.replicas.version

    def wait(self, seen: tuple[int, int], seconds: float) -> None:
        """Wait until `version` is not the one that was seen, at most so long."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self.version != seen, seconds)

    def find(self, name: str) -> Hosted | Unavailable | None:
        """An endpoint as it is now; None when there is none of that name.

        Raises:
            StorageError: the database cannot be read.
        """
        found = self._cached(name)
        if found is not None:
            return found
        # After a change one reads, however many ask.
        with self._reading:
            found = self._cached(name)
            if found is None:
                version = self.version
                found = self._read(name)
                with self._lock:
                    if found is not None and version == self._version:
                        self._known[name] = found
        return found

    def _cached(self, name: str) -> Hosted | Unavailable | None:
        version = self.version
        with self._lock:
            if version != self._version:
                self._version, self._known = version, {}
            return self._known.get(name)

    def _tell(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def _read(self, name: str) -> Hosted | Unavailable | None:
        record = self._state.endpoints.find(name)
        if record is None:
            return None
        if record.status not in _ANSWERING:
            return Unavailable(name, record.status)
        serving = self._state.replicas.select((SERVING,), endpoint=record.number)
        variants = [_variant(record, one.name, one.weight, serving) for one in record.variants]
        shadow = {one.name for one in record.variants if one.shadow}
        return Hosted(
            name=name,
            number=record.number,
            fleet=record.fleet,
            config=record.config,
            variants=tuple(one for one in variants if one.name not in shadow),
            shadows=tuple(one for one in variants if one.name in shadow),
        )


def _variant(
    record: EndpointRecord, name: str, weight: float, serving: list[ReplicaRecord]
) -> HostedVariant:
    request = variant_request(record.config, name)
    serverless = request.get("ServerlessConfig")
    routing = request.get("RoutingConfig") or {}
    asked = only_container(model_request(record.config, name))
    return HostedVariant(
        name=name,
        weight=weight,
        random=routing.get("RoutingStrategy") == "RANDOM",
        serverless=serverless is not None,
        concurrency=serverless["MaxConcurrency"] if serverless else None,
        multi_model=asked.get("Mode") == "MultiModel",
        limit_bytes=SERVERLESS_LIMIT_BYTES if serverless else _limit(asked),
        replicas=tuple(
            one
            for one in serving
            if one.variant == name and one.fleet == record.fleet and one.port is not None
        ),
    )


def _limit(asked: Mapping[str, Any]) -> int:
    mebibytes = (asked.get("Environment") or {}).get(_LIMIT_VARIABLE, "")
    return int(mebibytes) << 20 if mebibytes.isascii() and mebibytes.isdigit() else LIMIT_BYTES
