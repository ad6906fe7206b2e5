"""The replicas of one variant in one fleet: as many as wanted, replaced when they die."""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any

from clary import clock
from clary.errors import ClaryError
from clary.gpus import count_gpus
from clary.service.executors.replica_executor import DEADLINE_S, ReplicaSpec
from clary.service.executors.served_models import PreparedModel
from clary.service.state.endpoints import EndpointRecord
from clary.service.state.log_streams import LogStream
from clary.service.state.replicas import DRAINING, SERVING, STARTING, ReplicaRecord
from clary.service.supervisor.endpoints.gpu_choice import GpuChoice
from clary.service.supervisor.endpoints.leavings import discard
from clary.service.supervisor.endpoints.members import Member
from clary.service.supervisor.endpoints.services import STARTUP_S, Service
from clary.service.supervisor.endpoints.workplace import LOG_GROUP, Workplace

logger = logging.getLogger(__name__)

# A replica that was killed from outside says nothing of the model, but the third one does.
_UNTOLD_LIMIT = 3


class Crew:
    """What one service process knows of a variant's replicas besides what is stored.

    Owned by an endpoint's conductor; `step` is called on the thread of the rounds alone.
    Everything here may be lost: a new crew finds it out again from the state and the processes.
    `failure` is why the variant does not come up, once it is known.
    """

    def __init__(
        self,
        work: Workplace,
        endpoint: EndpointRecord,
        key: tuple[int, str],
        config: Mapping[str, Any] | None,
        gpus: GpuChoice,
    ) -> None:
        """Take over a variant.

        Args:
            work: the parts to work with.
            endpoint: whose variant it is.
            key: the fleet's number and the variant's name.
            config: the fleet's configuration; None for a fleet of which nothing but replicas is
                left, to be let go of.
            gpus: chooses one for each replica that shall have one.
        """
        self._work = work
        self._gpus = gpus
        self._endpoint = endpoint
        self._fleet, self._variant = key
        self._folder = work.model_folder(endpoint.name, *key)
        self._service = None if config is None else Service.of(endpoint, key[0], config, key[1])
        deadline_s = DEADLINE_S if self._service is None else self._service.deadline_s
        self._drain_s = deadline_s + work.timing.drain_s
        self._cancelled: str | None = None
        self._preparing: Future[PreparedModel] | None = None
        self._prepare_at = 0.0
        self._discarding: list[Future[None]] = []
        self._members: dict[int, Member] = {}
        self._failures = 0
        self._last_failed = 0
        self._start_at = 0.0
        self.failure: str | None = None

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
        stepped = [self._member(replica).step(replica, self._drain_s) for replica in replicas]
        staying = [one for one in stepped if one.status in {STARTING, SERVING}]
        for replica in self._leaving(staying, len(staying) - wanted):
            self._work.state.replicas.change(
                replica.number,
                lambda one: replace(one, status=DRAINING) if one.living else None,
            )
            self._work.changed()
        if len(staying) < wanted and self._service is not None:
            self._start(self._service, wanted - len(staying))

    @property
    def busy(self) -> bool:
        """Whether work of its own goes on in its folders."""
        under_way = [self._preparing, *self._discarding]
        return any(one is not None and not one.done() for one in under_way)

    def let_go(self) -> None:
        """Prepare nothing more."""
        if self._service is not None:
            self._cancelled = self._service.source.identity
            self._work.replicas.preparation.cancel(self._cancelled)
            self._service = None

    def hurry(self) -> None:
        """Wait for nothing that takes longer than a synchronous request: nobody wants it."""
        self._drain_s = min(self._drain_s, DEADLINE_S + self._work.timing.drain_s)

    def close(self) -> None:
        """There is nothing left of it."""
        if self._cancelled is not None:
            self._work.replicas.preparation.forget(self._cancelled)

    def proven(self, replica: ReplicaRecord) -> None:
        """A replica has served for a while: what failed before it came is past."""
        if replica.number > self._last_failed:
            self._failures = 0

    def failed(self, replica: ReplicaRecord, reason: str, *, told: bool) -> None:
        """A replica has ended that nobody had asked to; `told` where it said why itself."""
        self._last_failed = max(self._last_failed, replica.number)
        self._failures += 1
        if self._failures > 1:
            wait_s = self._work.timing.backoff_s * 2 ** min(self._failures - 2, 30)
            wait_s = min(wait_s, self._work.timing.backoff_limit_s)
            self._start_at = time.monotonic() + wait_s
        if told or self._failures >= _UNTOLD_LIMIT:
            self.failure = (
                f"The primary container for production variant {self._variant} did not pass the "
                "ping health check. Please check CloudWatch logs for this endpoint. "
                f"Its last words: {reason}"
            )

    def ended(self, folder: Path) -> None:
        """A replica has ended: all but its log goes."""
        going = [one for one in self._discarding if not one.done()]
        work = self._work
        self._discarding = [*going, work.begin(work.pool, discard, work, self._endpoint, folder)]

    def _member(self, replica: ReplicaRecord) -> Member:
        member = self._members.get(replica.number)
        if member is None:
            name = self._endpoint.name
            member = self._members[replica.number] = Member(
                self._work,
                self,
                name,
                self._work.replica_folder(name, self._fleet, replica.instance),
                STARTUP_S if self._service is None else self._service.startup_s,
            )
        return member

    def _leaving(self, staying: Sequence[ReplicaRecord], number: int) -> Sequence[ReplicaRecord]:
        """Those to drain: what does not serve yet, then what has the least to do, the newest."""
        if number <= 0:
            return ()
        outstanding = self._work.traffic.outstanding
        return sorted(
            staying,
            key=lambda one: (one.status == SERVING, outstanding(one.instance), -one.number),
        )[:number]

    def _start(self, service: Service, number: int) -> None:
        """Start replicas once the model is prepared, and failures are long enough ago.

        What is prepared already is found, but it may have lost what the cache held of it.
        """
        work, now = self._work, time.monotonic()
        if self._preparing is None:
            if now >= max(self._prepare_at, self._start_at):
                prepare = work.replicas.preparation.prepare
                self._preparing = work.begin(work.preparing, prepare, service.source, self._folder)
            return
        if not self._preparing.done() or now < self._start_at:
            return
        prepared, self._preparing = self._preparing, None
        error = prepared.exception()
        if error is not None:
            self._prepare_at = now + work.timing.backoff_limit_s
            self.failure = self._reason(error)
            return
        for _ in range(number):
            replica = self._work.state.replicas.add(
                ReplicaRecord(
                    endpoint=self._endpoint.number,
                    fleet=self._fleet,
                    variant=self._variant,
                    instance=f"i-{secrets.token_hex(9)[:17]}",
                    created_ms=clock.now_ms(),
                    shadow=service.shadow,
                )
            )
            gpu = self._gpus.choose(count_gpus(), replica.instance) if service.on_gpu else None
            member = self._member(replica)
            member.launching = work.begin(
                work.pool, self._launch, service, replica, (prepared.result(), gpu)
            )
        self._work.changed()

    def _launch(
        self, service: Service, replica: ReplicaRecord, given: tuple[PreparedModel, int | None]
    ) -> None:
        name = self._endpoint.name
        folder = self._work.replica_folder(name, self._fleet, replica.instance)
        self._work.state.logs.add_stream(
            LogStream(
                LOG_GROUP + name,
                f"{self._variant}/{replica.instance}",
                self._work.replicas.log(folder),
                clock.now_ms(),
            )
        )
        self._work.replicas.start(
            ReplicaSpec(
                endpoint=name,
                variant=self._variant,
                instance=replica.instance,
                folder=folder,
                prepared=given[0],
                environment=self._work.environment(),
                deadline_s=service.deadline_s,
                max_body_bytes=service.max_body_bytes,
                gpu=given[1],
            )
        )

    def _reason(self, error: BaseException) -> str:
        if isinstance(error, ClaryError):
            return str(error)
        return f"InternalServerError: {type(error).__name__}: {error}. `clary logs` shows where."
