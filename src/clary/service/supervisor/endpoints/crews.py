"""The replicas of one variant in one fleet: as many as wanted, replaced when they die."""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import replace
from typing import Any

from clary.errors import ClaryError
from clary.formats.replica import MAX_BODY_BYTES
from clary.gpus import count_gpus
from clary.service.executors.gpus import is_gpu_type
from clary.service.executors.replica_executor import (
    DEADLINE_S,
    Alive,
    ReplicaSpec,
    Unlaunched,
)
from clary.service.executors.served_models import ModelSource, PreparedModel
from clary.service.state.endpoints import EndpointRecord, model_request, variant_request
from clary.service.state.log_streams import LogStream
from clary.service.state.replicas import DRAINING, ENDED, SERVING, STARTING, ReplicaRecord
from clary.service.supervisor.endpoints.workplace import LOG_GROUP, Workplace

logger = logging.getLogger(__name__)

STARTUP_S = 240.0
# What asynchronous invocations may carry and take, by SageMaker's documentation.
_ASYNC_BODY_BYTES = 1 << 30
_ASYNC_DEADLINE_S = 3600.0
_SERVERLESS_BODY_BYTES = 4 << 20
_UNSAID_LIMIT = 3


class Crew:
    """What one service process knows of a variant's replicas besides what is stored.

    Owned by an endpoint's conductor; `step` is called on the thread of the rounds alone.
    Everything here may be lost: a new crew finds it out again from the state and the processes.
    """

    def __init__(
        self, work: Workplace, endpoint: EndpointRecord, fleet: int, config: Any, variant: str
    ) -> None:
        """Take over a variant.

        Args:
            work: the parts to work with.
            endpoint: whose variant it is.
            fleet: of which fleet.
            config: the fleet's configuration.
            variant: its name, production's or shadow's.
        """
        self._work = work
        self._endpoint = endpoint.name
        self._number = endpoint.number
        self._fleet = fleet
        self._variant = variant
        self._request = variant_request(config, variant)
        self._shadow = self._request in (config.get("ShadowProductionVariants") or ())
        self._asynchronous = bool(config.get("AsyncInferenceConfig"))
        self._on_gpu = count_gpus() > 0 and is_gpu_type(str(self._request.get("InstanceType")))
        self._source = ModelSource(
            identity=f"{endpoint.arn} {endpoint.created_ms} {fleet} {variant}",
            arn=endpoint.arn,
            request=model_request(config, variant),
            on_gpu=self._on_gpu,
        )
        self._folder = work.model_folder(endpoint.name, fleet, variant)
        self._preparing: Future[PreparedModel] | None = None
        self._prepare_at = 0.0
        self._members: dict[int, _Member] = {}
        self._failures = 0
        self._start_at = 0.0
        self.failure: str | None = None

    @property
    def source(self) -> ModelSource:
        """The model."""
        return self._source

    def step(self, replicas: Sequence[ReplicaRecord], wanted: int) -> None:
        """Look at every replica, and start or drain some.

        Args:
            replicas: the variant's in this fleet that have not ended.
            wanted: how many shall serve.

        Raises:
            StorageError: the database cannot be written.
        """
        numbers = {replica.number for replica in replicas}
        self._members = {
            number: member for number, member in self._members.items() if number in numbers
        }
        staying = []
        for replica in replicas:
            after = self._member(replica).step(replica)
            if after.status in {STARTING, SERVING}:
                staying.append(after)
        for replica in self._leaving(staying, len(staying) - wanted):
            self._change(replica, lambda one: replace(one, status=DRAINING))
        if len(staying) < wanted:
            self._start(wanted - len(staying))

    def cancel(self) -> None:
        """Let go of what is being prepared."""
        self._work.replicas.preparation.cancel(self._source.identity)

    def succeeded(self) -> None:
        """A replica has served for long enough to count as well."""
        self._failures = 0

    def failed(self, reason: str, *, told: bool) -> None:
        """A replica has ended that nobody had asked to."""
        self._failures += 1
        if self._failures > 1:
            waits = self._work.timing.backoff_s * 2 ** (self._failures - 2)
            limit = self._work.timing.backoff_limit_s
            self._start_at = time.monotonic() + min(waits, limit)
        if told or self._failures >= _UNSAID_LIMIT:
            self.failure = (
                f"The primary container for production variant {self._variant} did not pass the "
                "ping health check. Please check CloudWatch logs for this endpoint. "
                f"Its last words: {reason}"
            )

    def _member(self, replica: ReplicaRecord) -> _Member:
        member = self._members.get(replica.number)
        if member is None:
            startup_s = self._request.get("ContainerStartupHealthCheckTimeoutInSeconds")
            member = self._members[replica.number] = _Member(
                self._work, self, self._endpoint, float(startup_s or STARTUP_S)
            )
        return member

    def _leaving(self, staying: Sequence[ReplicaRecord], number: int) -> Sequence[ReplicaRecord]:
        """Those to drain: what does not serve yet, then what has the least to do, the newest."""
        if number <= 0:
            return ()
        return sorted(
            staying,
            key=lambda one: (
                one.status == SERVING,
                self._work.traffic.outstanding(one.instance),
                -one.number,
            ),
        )[:number]

    def _start(self, number: int) -> None:
        """Start replicas once the model is prepared, and failures are long enough ago."""
        now = time.monotonic()
        if self._preparing is None:
            if now < self._prepare_at:
                return
            self._preparing = self._begin(
                self._work.replicas.preparation.prepare, self._source, self._folder
            )
            return
        if not self._preparing.done() or now < self._start_at:
            return
        error = self._preparing.exception()
        if error is not None:
            self._preparing = None
            self._prepare_at = now + self._work.timing.backoff_limit_s
            self.failure = self._reason(error)
            return
        for _ in range(number):
            replica = self._work.state.replicas.add(
                ReplicaRecord(
                    endpoint=self._number,
                    fleet=self._fleet,
                    variant=self._variant,
                    instance=f"i-{secrets.token_hex(9)[:17]}",
                    created_ms=_now_ms(),
                    shadow=self._shadow,
                )
            )
            member = self._member(replica)
            member.launching = self._begin(self._launch, replica, self._preparing.result())
        self._work.changed()

    def _launch(self, replica: ReplicaRecord, prepared: PreparedModel) -> None:
        folder = self._work.replica_folder(self._endpoint, self._fleet, replica.instance)
        self._work.state.logs.add_stream(
            LogStream(
                f"{LOG_GROUP}{self._endpoint}",
                f"{self._variant}/{replica.instance}",
                self._work.replicas.log(folder),
                _now_ms(),
            )
        )
        body_bytes = MAX_BODY_BYTES
        if self._asynchronous:
            body_bytes = _ASYNC_BODY_BYTES
        elif self._request.get("ServerlessConfig"):
            body_bytes = _SERVERLESS_BODY_BYTES
        self._work.replicas.start(
            ReplicaSpec(
                endpoint=self._endpoint,
                variant=self._variant,
                instance=replica.instance,
                folder=folder,
                prepared=prepared,
                environment=self._work.environment(),
                deadline_s=_ASYNC_DEADLINE_S if self._asynchronous else DEADLINE_S,
                max_body_bytes=body_bytes,
                gpu=replica.number % count_gpus() if self._on_gpu else None,
            )
        )

    def _begin(self, work: Callable[..., Any], *arguments: Any) -> Future[Any]:
        future = self._work.pool.submit(work, *arguments)
        future.add_done_callback(lambda _: self._work.changed())
        return future

    def _change(
        self, replica: ReplicaRecord, change: Callable[[ReplicaRecord], ReplicaRecord]
    ) -> None:
        if self._work.state.replicas.change(replica.number, change) is not None:
            self._work.changed()

    def _reason(self, error: BaseException) -> str:
        if isinstance(error, ClaryError):
            return str(error)
        logger.error("%s cannot be prepared", self._endpoint, exc_info=error)
        return f"InternalServerError: {type(error).__name__}: {error}. `clary logs` shows where."


class _Member:
    """What a crew knows of one replica. `launching` is there where this process launches it."""

    def __init__(self, work: Workplace, crew: Crew, endpoint: str, startup_s: float) -> None:
        self._work = work
        self._crew = crew
        self._endpoint = endpoint
        self._startup_s = startup_s
        self._asking: Future[bool] | None = None
        self._asked_at = 0.0
        self._answered_at = time.monotonic()
        self._draining_since: float | None = None
        self._told_at: float | None = None
        self._killed = False
        self.launching: Future[None] | None = None

    def step(self, replica: ReplicaRecord) -> ReplicaRecord:
        """Take the replica a step further; the replica then."""
        if self.launching is not None and not self.launching.done():
            return replica
        folder = self._work.replica_folder(self._endpoint, replica.fleet, replica.instance)
        sight = self._work.replicas.look(folder)
        if isinstance(sight, Alive):
            if replica.status == STARTING:
                return self._come_up(replica, sight.port)
            if replica.status == SERVING:
                return self._serve(replica)
            return self._drain(replica)
        told = True
        if isinstance(sight, Unlaunched):
            error = None if self.launching is None else self.launching.exception()
            # Without an error an earlier service died before it launched what it had stored.
            reason = "" if error is None else str(error)
            if error is not None and not isinstance(error, ClaryError):
                logger.error("A replica of %s cannot start", self._endpoint, exc_info=error)
        else:
            reason, told = sight.reason or "it ended without being asked to", sight.told
        if replica.status == DRAINING:
            reason = ""
        return self._end(replica, reason, told=told)

    def _come_up(self, replica: ReplicaRecord, port: int | None) -> ReplicaRecord:
        if self._asking is not None and self._asking.done():
            serves = self._asking.result()
            self._asking = None
            if serves:
                self._answered_at = time.monotonic()
                return self._change(
                    replica,
                    lambda one: (
                        replace(one, status=SERVING, port=port, ready_ms=_now_ms())
                        if one.status == STARTING
                        else None
                    ),
                )
        if _now_ms() - replica.created_ms > self._startup_s * 1000:
            folder = self._work.replica_folder(self._endpoint, replica.fleet, replica.instance)
            self._work.replicas.kill(folder)
            return self._end(
                replica, f"it did not answer /ping within {self._startup_s:g} s", told=True
            )
        if port is not None:
            self._ask(port, self._work.timing.tick_s)
        return replica

    def _serve(self, replica: ReplicaRecord) -> ReplicaRecord:
        now = time.monotonic()
        if self._asking is not None and self._asking.done():
            if self._asking.result():
                self._answered_at = now
            self._asking = None
        if replica.ready_ms and _now_ms() - replica.ready_ms > self._work.timing.proven_s * 1000:
            self._crew.succeeded()
        if now - self._answered_at > self._work.timing.unhealthy_s:
            folder = self._work.replica_folder(self._endpoint, replica.fleet, replica.instance)
            self._work.replicas.kill(folder)
            return self._end(
                replica,
                f"it has not answered /ping for {self._work.timing.unhealthy_s:g} s",
                told=False,
            )
        if replica.port is not None:
            self._ask(replica.port, self._work.timing.health_s)
        return replica

    def _drain(self, replica: ReplicaRecord) -> ReplicaRecord:
        """Let what was given to the replica be answered, then have it end."""
        now = time.monotonic()
        timing = self._work.timing
        folder = self._work.replica_folder(self._endpoint, replica.fleet, replica.instance)
        if self._draining_since is None:
            self._draining_since = now
        since = now - self._draining_since
        if self._told_at is None:
            idle = self._work.traffic.outstanding(replica.instance) == 0
            if (idle and since >= timing.settle_s) or since >= timing.drain_s:
                self._work.replicas.terminate(folder)
                self._told_at = now
        elif not self._killed and now - self._told_at >= timing.grace_s:
            self._work.replicas.kill(folder)
            self._killed = True
        return replica

    def _ask(self, port: int, every_s: float) -> None:
        now = time.monotonic()
        if self._asking is None and now - self._asked_at >= every_s:
            self._asked_at = now
            self._asking = self._work.pool.submit(self._work.replicas.answers, port)
            self._asking.add_done_callback(lambda _: self._work.changed())

    def _end(self, replica: ReplicaRecord, reason: str, *, told: bool) -> ReplicaRecord:
        ended = self._change(
            replica,
            lambda one: replace(
                one, status=ENDED, port=None, ended_ms=_now_ms(), failure=reason or None
            ),
        )
        if reason:
            logger.warning("Replica %s of %s: %s", replica.instance, self._endpoint, reason)
            self._crew.failed(reason, told=told)
        folder = self._work.replica_folder(self._endpoint, replica.fleet, replica.instance)
        self._work.pool.submit(self._work.replicas.discard, folder)
        return ended

    def _change(
        self, replica: ReplicaRecord, change: Callable[[ReplicaRecord], ReplicaRecord | None]
    ) -> ReplicaRecord:
        changed = self._work.state.replicas.change(replica.number, change)
        if changed is None:
            return replica
        self._work.changed()
        return changed


def _now_ms() -> int:
    return int(time.time() * 1000)
