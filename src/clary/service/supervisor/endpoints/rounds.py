"""One look at all endpoints after the other."""

from __future__ import annotations

import logging
import shutil
import time
from secrets import token_hex
from typing import NamedTuple

from clary.errors import ClaryError
from clary.service.state.endpoints import EndpointRecord
from clary.service.state.replicas import LIVING, STARTING, ReplicaRecord
from clary.service.supervisor.endpoints.autoscaling import Autoscaling
from clary.service.supervisor.endpoints.conducting import EndpointConductor
from clary.service.supervisor.endpoints.gpu_choice import GpuChoice
from clary.service.supervisor.endpoints.transitions import CREATING, FAILED, UPDATING
from clary.service.supervisor.endpoints.workplace import Workplace

logger = logging.getLogger(__name__)


class _Failure(NamedTuple):
    text: str
    retry_at: float


class EndpointRounds:
    """The decisions about endpoints, without a thread.

    Owned by the endpoints' supervisor, on whose thread `next` is called. It may be thrown away at
    any point, as by a kill: another one goes on from the state.
    """

    def __init__(self, work: Workplace) -> None:
        """Take the parts to work with."""
        self._work = work
        # By number: a deleted endpoint's name may be another's by the next round.
        self._conductors: dict[int, EndpointConductor] = {}
        self._autoscaling = Autoscaling(work)
        self._gpus = GpuChoice(work)
        self._failures: dict[int, _Failure] = {}
        self._read: tuple[int, int] | None = None
        self._endpoints: list[EndpointRecord] = []
        self._replicas: dict[int, list[ReplicaRecord]] = {}
        self._swept = False

    def next(self) -> float | None:
        """Take every endpoint a step further; how long the next round may wait, None for ever.

        Raises:
            StorageError: the database cannot be read.
        """
        self._work.clock.move()
        if not self._swept:
            self._swept = True
            self._sweep()
        self._look()
        numbers = {endpoint.number for endpoint in self._endpoints}
        for known in (self._conductors, self._failures):
            for number in known.keys() - numbers:
                del known[number]
        for endpoint in self._endpoints:
            self._attempt(endpoint)
        if self._endpoints:
            self._autoscaling.next()
        return self._pause()

    def _look(self) -> None:
        """Read what is stored, where it is not what was read last."""
        versions = self._work.state.endpoints.version, self._work.state.replicas.version
        if versions == self._read:
            return
        self._endpoints = self._work.state.endpoints.select()
        self._replicas = {}
        for replica in self._work.state.replicas.select(LIVING):
            self._replicas.setdefault(replica.endpoint, []).append(replica)
        self._read = versions

    def _attempt(self, endpoint: EndpointRecord) -> None:
        """Take a step with one; one that fails is left alone for a while, and only that one."""
        failure = self._failures.get(endpoint.number)
        if failure is not None and time.monotonic() < failure.retry_at:
            return
        conductor = self._conductors.get(endpoint.number)
        try:
            if conductor is None:
                conductor = EndpointConductor(self._work, endpoint, self._gpus)
                self._conductors[endpoint.number] = conductor
            conductor.step(endpoint, self._replicas.get(endpoint.number, []))
        except Exception as error:
            if failure is None or failure.text != str(error):
                logger.exception("A step of endpoint %s failed and is tried again", endpoint.name)
            retry_at = time.monotonic() + self._work.timing.retry_s
            self._failures[endpoint.number] = _Failure(str(error), retry_at)
        else:
            self._failures.pop(endpoint.number, None)

    def _pause(self) -> float | None:
        living = [one for replicas in self._replicas.values() for one in replicas]
        if all(one.status == FAILED for one in self._endpoints) and not living:
            return None
        moving = any(one.status in {CREATING, UPDATING} for one in self._endpoints)
        if moving or any(one.status == STARTING for one in living):
            return self._work.timing.tick_s
        return self._work.timing.calm_tick_s

    def _sweep(self) -> None:
        """End what an earlier service has started and no record knows of."""
        known = {replica.instance for replica in self._work.state.replicas.select(LIVING)}
        names = {endpoint.name for endpoint in self._work.state.endpoints.select()}
        root = self._work.settings.endpoints_dir
        for folder in self._work.replicas.living(root):
            if folder.name not in known:
                logger.warning("%s belongs to no endpoint and is ended", folder)
                try:
                    self._work.replicas.kill(folder)
                except (ClaryError, OSError):
                    logger.exception("%s goes on", folder)
        for folder in sorted(root.iterdir()) if root.is_dir() else ():
            if folder.name not in names:
                # At once, for an endpoint of that name may come.
                aside = folder.with_name(f".{token_hex(8)}.gone")
                try:
                    folder.rename(aside)
                except OSError:
                    logger.exception("%s is left behind", folder)
                else:
                    self._work.begin(self._work.pool, shutil.rmtree, aside)
