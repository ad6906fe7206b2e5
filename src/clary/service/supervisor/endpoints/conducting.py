"""Takes one endpoint a step further: its fleets, its updates, its end."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import Future
from secrets import token_hex
from typing import Any

from clary import clock
from clary.formats.files import storage_errors
from clary.service.state.endpoints import EndpointRecord, VariantState, variant_request
from clary.service.state.replicas import SERVING, STARTING, ReplicaRecord
from clary.service.supervisor.endpoints.crews import Crew
from clary.service.supervisor.endpoints.gpu_choice import GpuChoice
from clary.service.supervisor.endpoints.measuring import EndpointMeter
from clary.service.supervisor.endpoints.transitions import (
    CREATING,
    DELETING,
    IN_SERVICE,
    UPDATING,
    failed,
    whole,
)
from clary.service.supervisor.endpoints.workplace import LOG_GROUP, Workplace

logger = logging.getLogger(__name__)

# More replicas than a variant can have.
_KEPT = 1 << 30


class EndpointConductor:
    """What one service process knows of one endpoint besides what is stored.

    Owned by the rounds; `step` is called on their thread alone. Everything here may be lost: a new
    conductor finds it out again from the state and the processes.
    """

    def __init__(self, work: Workplace, endpoint: EndpointRecord, gpus: GpuChoice) -> None:
        """Take over an endpoint, whatever status it is in."""
        self._work = work
        self._gpus = gpus
        self._name = endpoint.name
        self._crews: dict[tuple[int, str], Crew] = {}
        self._meter = EndpointMeter(work, endpoint.name)
        self._removing: Future[None] | None = None
        # When the fleet that serves took over; an earlier service may have seen it.
        self._switched_ms: int | None = None
        self._untidy: set[int] = set(range(1, endpoint.fleets + 1))

    def step(self, endpoint: EndpointRecord, replicas: Sequence[ReplicaRecord]) -> None:
        """Do what the endpoint's status asks for.

        Args:
            endpoint: as it is stored.
            replicas: its own that have not ended.

        Raises:
            StorageError: the database cannot be written.
        """
        version = self._work.state.replicas.version
        crews = self._assembled(endpoint, replicas)
        for (fleet, variant), (crew, wanted) in crews.items():
            if endpoint.status == DELETING:
                crew.hurry()
            own = [one for one in replicas if (one.fleet, one.variant) == (fleet, variant)]
            crew.step(own, wanted)
        self._meter.measure(replicas)
        if self._work.state.replicas.version != version:
            return  # the next round sees what has become of them
        if endpoint.status in {CREATING, UPDATING}:
            self._conclude(endpoint, replicas)
        else:
            for crew, _ in crews.values():
                crew.failure = None  # of replicas that nobody waits for
        if endpoint.status != DELETING:
            self._tidy(crews.keys())
        elif not crews:
            self._remove()

    def _assembled(
        self, endpoint: EndpointRecord, replicas: Sequence[ReplicaRecord]
    ) -> dict[tuple[int, str], tuple[Crew, int]]:
        """All crews that have something to do, each with how many replicas it shall have."""
        crews = self._wanted_crews(endpoint)
        keeps = self._keeps_earlier_fleets(endpoint, replicas)
        for key in self._crews.keys() - crews.keys():
            crew = self._crews[key]
            crew.let_go()
            if crew.busy:
                crews[key] = crew, _KEPT if keeps and key[0] < endpoint.fleet else 0
        for replica in replicas:
            key = replica.fleet, replica.variant
            if key not in crews:
                kept = _KEPT if keeps and replica.fleet < endpoint.fleet else 0
                crews[key] = self._crew(endpoint, *key), kept
        for key in self._crews.keys() - crews.keys():
            self._crews[key].close()
        self._crews = {key: crew for key, (crew, _) in crews.items()}
        return crews

    def _keeps_earlier_fleets(
        self, endpoint: EndpointRecord, replicas: Sequence[ReplicaRecord]
    ) -> bool:
        """Whether the last update asked that the fleet before be kept, and it is not over."""
        policy = (endpoint.deployment or {}).get("BlueGreenUpdatePolicy") or {}
        wait_s = policy.get("TerminationWaitInSeconds") or 0
        if not wait_s or endpoint.status not in {IN_SERVICE, UPDATING}:
            return False
        if self._switched_ms is None:
            ready = [one.ready_ms for one in replicas if one.fleet == endpoint.fleet]
            self._switched_ms = min((at for at in ready if at is not None), default=0)
        return clock.now_ms() - self._switched_ms < 1000 * wait_s

    def _wanted_crews(self, endpoint: EndpointRecord) -> dict[tuple[int, str], tuple[Crew, int]]:
        """The crews that there shall be, each with how many replicas it shall have."""
        wanted: dict[tuple[int, str], tuple[Crew, int]] = {}
        if endpoint.status not in {CREATING, IN_SERVICE, UPDATING}:
            return wanted
        for one in endpoint.variants:
            crew = self._crew(endpoint, endpoint.fleet, one.name)
            wanted[endpoint.fleet, one.name] = crew, self._count(endpoint, one)
        pending = endpoint.pending
        if pending is not None:
            for one in pending.variants:
                crew = self._crew(endpoint, pending.fleet, one.name)
                wanted[pending.fleet, one.name] = crew, _first_count(pending.config, one)
        return wanted

    def _count(self, endpoint: EndpointRecord, one: VariantState) -> int:
        serverless = variant_request(endpoint.config, one.name).get("ServerlessConfig")
        if serverless is None or endpoint.status == CREATING:
            return _first_count(endpoint.config, one)
        if serverless.get("ProvisionedConcurrency"):
            return 1
        last_ms = self._work.traffic.last_ms(endpoint.name, one.name) or 0
        last_ms = max(
            last_ms, self._work.wishes.get((endpoint.name, one.name), 0), endpoint.modified_ms
        )
        return int(clock.now_ms() - last_ms < self._work.timing.idle_s * 1000)

    def _crew(self, endpoint: EndpointRecord, fleet: int, variant: str) -> Crew:
        crew = self._crews.get((fleet, variant))
        if crew is not None:
            return crew
        pending = endpoint.pending
        config: Mapping[str, Any] | None = None
        if fleet == endpoint.fleet:
            config = endpoint.config
        elif pending is not None and fleet == pending.fleet:
            config = pending.config
        crew = self._crews[fleet, variant] = Crew(
            self._work, endpoint, (fleet, variant), config, self._gpus
        )
        return crew

    def _conclude(self, endpoint: EndpointRecord, replicas: Sequence[ReplicaRecord]) -> None:
        """Say that what was asked for is there, or that it cannot be."""
        pending = endpoint.pending
        fleet = endpoint.fleet if pending is None else pending.fleet
        variants = endpoint.variants if pending is None else pending.variants
        crews = [self._crews[fleet, one.name] for one in variants]
        failures = [crew.failure for crew in crews if crew.failure is not None]
        if failures:
            for crew in crews:
                crew.failure = None
            self._change(lambda one: failed(one, failures[0], clock.now_ms()))
            return
        serving = _counted(replicas, fleet, {SERVING})
        staying = _counted(replicas, fleet, {STARTING, SERVING})
        complete = all(
            serving.get(one.name, 0) == staying.get(one.name, 0) == self._asked(endpoint, one)
            for one in variants
        )
        if (
            complete
            and self._change(lambda one: whole(one, clock.now_ms()))
            and pending is not None
        ):
            self._switched_ms = clock.now_ms()

    def _asked(self, endpoint: EndpointRecord, one: VariantState) -> int:
        if endpoint.pending is not None:
            return _first_count(endpoint.pending.config, one)
        return self._count(endpoint, one)

    def _tidy(self, in_use: Collection[tuple[int, str]]) -> None:
        """Delete what the replicas of earlier fleets have shared; their logs stay."""
        fleets = {fleet for fleet, _ in in_use}
        for fleet in self._untidy - fleets:
            self._work.begin(self._work.pool, self._remove_models, fleet)
        self._untidy = fleets

    def _remove_models(self, fleet: int) -> None:
        folder = self._work.model_folder(self._name, fleet, "any").parent
        if folder.exists():
            with storage_errors(folder):
                shutil.rmtree(folder)

    def _remove(self) -> None:
        """Delete the endpoint's folder, then everything that is remembered of it."""
        if self._removing is None:
            self._removing = self._work.begin(self._work.pool, self._remove_folder)
        elif self._removing.done():
            self._work.traffic.forget(self._name)
            for key in [key for key in list(self._work.wishes) if key[0] == self._name]:
                self._work.wishes.pop(key, None)
            self._work.state.forget_endpoint(self._name, LOG_GROUP + self._name)
            self._work.changed()

    def _remove_folder(self) -> None:
        folder = self._work.endpoint_folder(self._name)
        if folder.exists():
            with storage_errors(folder):
                # Whoever is about to write there shall not make it anew for the next endpoint.
                shutil.rmtree(folder.rename(folder.with_name(f".{token_hex(8)}.gone")))

    def _change(self, change: Callable[[EndpointRecord], EndpointRecord | None]) -> bool:
        changed = self._work.state.endpoints.change(self._name, change)
        if changed is not None:
            logger.info("Endpoint %s is %s", self._name, changed.status)
            self._work.changed()
        return changed is not None


def _first_count(config: Mapping[str, Any], one: VariantState) -> int:
    """How many replicas a variant comes up with; a serverless one shows with one that it can."""
    serverless = variant_request(config, one.name).get("ServerlessConfig")
    return one.desired_count if serverless is None else 1


def _counted(
    replicas: Iterable[ReplicaRecord], fleet: int, statuses: set[str]
) -> Mapping[str, int]:
    counts: dict[str, int] = {}
    for one in replicas:
        if one.fleet == fleet and one.status in statuses:
            counts[one.variant] = counts.get(one.variant, 0) + 1
    return counts
