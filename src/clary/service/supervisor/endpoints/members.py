"""Takes one replica a step further: it comes up, serves, drains, ends."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from clary import clock
from clary.errors import ClaryError
from clary.service.executors.replica_executor import Alive, Unlaunched
from clary.service.state.replicas import DRAINING, ENDED, SERVING, STARTING, ReplicaRecord
from clary.service.supervisor.endpoints.health import Questions
from clary.service.supervisor.endpoints.workplace import Workplace

logger = logging.getLogger(__name__)


class Listener(Protocol):
    """Hears of what becomes of replicas."""

    def proven(self, replica: ReplicaRecord) -> None:
        """A replica has served for a while."""

    def failed(self, replica: ReplicaRecord, reason: str, *, told: bool) -> None:
        """A replica has ended that nobody had asked to; `told` where it said why itself."""

    def ended(self, folder: Path) -> None:
        """A replica has ended, and its folder is of no use any more."""


class Member:
    """What one service process knows of one replica besides what is stored.

    `launching` is there where this process launches it. Owned by a crew; `step` is called on the
    thread of the rounds alone.
    """

    def __init__(
        self, work: Workplace, crew: Listener, endpoint: str, folder: Path, startup_s: float
    ) -> None:
        """Take over a replica, whatever status it is in.

        Args:
            work: the parts to work with.
            crew: hears of what becomes of it.
            endpoint: its endpoint's name.
            folder: its own.
            startup_s: how long it may take until it serves, from now on.
        """
        self._work = work
        self._crew = crew
        self._endpoint = endpoint
        self._folder = folder
        self._startup_s = startup_s
        self._questions = Questions(work.asking, work.replicas.answers, work.clock, work.changed)
        self._since_s = work.clock.now_s
        self._looked_at = 0.0
        self._draining_since: float | None = None
        self._told_at: float | None = None
        self._killed = False
        self.launching: Future[None] | None = None

    def step(self, replica: ReplicaRecord, drain_s: float) -> ReplicaRecord:
        """Look at the replica, and do what its status asks for; the replica then.

        Args:
            replica: as it is stored.
            drain_s: how long what is under way may take.

        Raises:
            StorageError: the database cannot be written, or the replica cannot be told.
        """
        if self.launching is not None and not self.launching.done():
            return replica
        now = time.monotonic()
        if replica.status != STARTING and now - self._looked_at < self._work.timing.calm_tick_s:
            return replica
        self._looked_at = now
        sight = self._work.replicas.look(self._folder)
        if isinstance(sight, Alive):
            if replica.status == STARTING:
                return self._come_up(replica, sight.port)
            if replica.status == SERVING:
                return self._serve(replica)
            return self._drain(replica, drain_s)
        if isinstance(sight, Unlaunched):
            return self._end(replica, self._why_unlaunched(), told=True)
        reason = sight.reason or "it ended without having been asked to"
        return self._end(replica, reason, told=sight.told)

    def _why_unlaunched(self) -> str:
        """Empty where an earlier service died before it launched what it had stored."""
        error = None if self.launching is None else self.launching.exception()
        if error is not None and not isinstance(error, ClaryError):
            logger.error("A replica of %s cannot start", self._endpoint, exc_info=error)
        return "" if error is None else str(error)

    def _come_up(self, replica: ReplicaRecord, port: int | None) -> ReplicaRecord:
        if self._questions.answered():
            return self._change(
                replica,
                lambda one: (
                    replace(one, status=SERVING, port=port, ready_ms=clock.now_ms())
                    if one.status == STARTING
                    else None
                ),
            )
        late = self._work.clock.now_s - self._since_s > self._startup_s
        # One that came up while no service ran is asked before it is judged.
        if late and (port is None or self._questions.asked):
            self._work.replicas.kill(self._folder)
            reason = f"it did not answer /ping within {self._startup_s:g} s"
            return self._end(replica, reason, told=True)
        if port is not None:
            self._questions.ask(port, self._work.timing.tick_s)
        return replica

    def _serve(self, replica: ReplicaRecord) -> ReplicaRecord:
        timing = self._work.timing
        self._questions.answered()
        if replica.ready_ms and clock.now_ms() - replica.ready_ms > timing.proven_s * 1000:
            self._crew.proven(replica)
        if self._questions.silent(timing.unhealthy_s):
            self._work.replicas.kill(self._folder)
            reason = f"it has not answered /ping for {timing.unhealthy_s:g} s"
            return self._end(replica, reason, told=False)
        if replica.port is not None:
            self._questions.ask(replica.port, timing.health_s)
        return replica

    def _drain(self, replica: ReplicaRecord, drain_s: float) -> ReplicaRecord:
        """Let what was given to the replica be answered, then have it end."""
        now, timing = time.monotonic(), self._work.timing
        if self._draining_since is None:
            self._draining_since = now
        since = now - self._draining_since
        if self._told_at is None:
            idle = self._work.traffic.outstanding(replica.instance) == 0
            if (idle and since >= timing.settle_s) or since >= drain_s:
                self._work.replicas.terminate(self._folder)
                self._told_at = now
        elif not self._killed and now - self._told_at >= drain_s:
            self._work.replicas.kill(self._folder)
            self._killed = True
        return replica

    def _end(self, replica: ReplicaRecord, reason: str, *, told: bool) -> ReplicaRecord:
        if replica.status == DRAINING:
            reason = ""
        ended = self._change(
            replica,
            lambda one: replace(
                one, status=ENDED, port=None, ended_ms=clock.now_ms(), failure=reason or None
            ),
        )
        if reason:
            logger.warning("Replica %s of %s: %s", replica.instance, self._endpoint, reason)
            self._crew.failed(replica, reason, told=told)
        self._crew.ended(self._folder)
        return ended

    def _change(
        self, replica: ReplicaRecord, change: Callable[[ReplicaRecord], ReplicaRecord | None]
    ) -> ReplicaRecord:
        changed = self._work.state.replicas.change(replica.number, change)
        if changed is None:
            return replica
        self._work.changed()
        return changed
