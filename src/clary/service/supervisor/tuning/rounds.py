"""One look at all tuning jobs after the other."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from concurrent.futures import Executor as Pool
from typing import NamedTuple

from clary.errors import UsageError
from clary.service.state.state import State
from clary.service.state.tuning_jobs import ACTIVE, TuningJob
from clary.service.supervisor.timing import Timing
from clary.service.supervisor.tuning.conducting import TuningConductor
from clary.service.supervisor.tuning.ending import tell, wind_up
from clary.service.supervisor.tuning.transitions import WINDING_UP, Event, state_of

logger = logging.getLogger(__name__)

# How long a tuning job may wait for its runtime to be over when nothing else happens.
_TICK_S = 1.0


class _Failure(NamedTuple):
    text: str
    retry_at: float


class TuningRounds:
    """The decisions about tuning jobs, without a thread.

    Owned by the supervisor's rounds, on whose thread `next` is called. It may be thrown away at
    any point, as by a kill: another one goes on from the state.
    """

    def __init__(
        self, state: State, pool: Pool, *, timing: Timing, changed: Callable[[], None]
    ) -> None:
        """Assemble the parts.

        Args:
            state: where jobs are stored.
            pool: runs what may take long.
            timing: how long to wait for what.
            changed: called after every change and when a step may have become possible, from any
                thread.
        """
        self._state = state
        self._pool = pool
        self._timing = timing
        self._changed = changed
        # By number: a deleted job's name may be another's by the next round.
        self._conductors: dict[int, TuningConductor] = {}
        self._failures: dict[int, _Failure] = {}

    def next(self) -> float | None:
        """Take every tuning job a step further; how long the next round may wait, None for ever.

        Raises:
            StorageError: the database cannot be read.
        """
        jobs = self._state.tuning_jobs.select(ACTIVE)
        active = {job.number for job in jobs}
        self._conductors = {
            number: conductor for number, conductor in self._conductors.items() if number in active
        }
        self._failures = {
            number: failure for number, failure in self._failures.items() if number in active
        }
        for job in jobs:
            self._attempt(job)
        return _TICK_S if jobs else None

    def _attempt(self, job: TuningJob) -> None:
        """Take a step with one; one that fails is left alone for a while, and only that one."""
        failure = self._failures.get(job.number)
        if failure is not None and time.monotonic() < failure.retry_at:
            return
        try:
            self._step(job)
        except Exception as error:
            if failure is None or failure.text != str(error):
                logger.exception("A step of tuning job %s failed and is tried again", job.name)
            retry_at = time.monotonic() + self._timing.retry_s
            self._failures[job.number] = _Failure(str(error), retry_at)
        else:
            self._failures.pop(job.number, None)

    def _step(self, job: TuningJob) -> None:
        if state_of(job) in WINDING_UP:
            wind_up(self._state, job, self._changed)
            return
        try:
            conductor = self._conductor(job)
        except UsageError as error:
            # It was stored by a Clary that took it.
            reason = f"InternalServerError: the tuning job cannot go on: {error}"
            tell(self._state, job.name, self._changed, Event.GIVEN_UP, ("failures", reason))
        else:
            conductor.step(job)

    def _conductor(self, job: TuningJob) -> TuningConductor:
        conductor = self._conductors.get(job.number)
        if conductor is None:
            conductor = self._conductors[job.number] = TuningConductor(
                self._state, self._pool, job, timing=self._timing, changed=self._changed
            )
        return conductor
