"""The thread that takes transform jobs from their creation to their end."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

from clary import clock
from clary.formats.job_directory import JobDirectory
from clary.service.executors.transform_executor import TransformExecutor, TransformSpec
from clary.service.state.state import State
from clary.service.state.transform_jobs import ACTIVE, TransformJobRecord
from clary.service.supervisor.daemon_pool import DaemonPool
from clary.service.supervisor.round_loop import RoundLoop
from clary.service.supervisor.timing import Timing
from clary.service.supervisor.transforms import transitions
from clary.service.supervisor.transforms.conducting import TransformConductor
from clary.settings import Settings

logger = logging.getLogger(__name__)

# Each waits on a thread of its own.
_WAITER_LIMIT = 64
_CLOSING_S = 5.0


class _Failure(NamedTuple):
    text: str
    retry_at: float


class TransformSupervisor:
    """The only writer of a transform job's status. Every public method may be called by any thread.

    As many jobs run at once as training jobs may, the oldest first. After a crash a new one takes
    up what the state holds: nothing is lost, and nothing launched twice.
    """

    def __init__(
        self,
        state: State,
        executor: TransformExecutor,
        settings: Settings,
        *,
        job_environment: Callable[[], Mapping[str, str]],
        timing: Timing | None = None,
    ) -> None:
        """Assemble the parts; `start` sets it going.

        Args:
            state: where jobs are stored.
            executor: where they run.
            settings: the home, and how many jobs run at once.
            job_environment: what Clary adds to a job's environment, asked for each job.
            timing: how long to wait for what.
        """
        self._state = state
        self._executor = executor
        self._settings = settings
        self._pool = DaemonPool()
        self._job_environment = job_environment
        self._timing = timing or Timing()
        # By number, as the state counts.
        self._conductors: dict[int, TransformConductor] = {}
        self._failures: dict[int, _Failure] = {}
        self._loop = RoundLoop("clary-transforms", self._next, waiters=_WAITER_LIMIT)

    def start(self) -> None:
        """Take up all jobs that have not ended."""
        self._loop.start()

    def release(self) -> None:
        """Decide nothing more, and let waiting callers return now: the service is about to end."""
        self._loop.release()

    def close(self) -> None:
        """End the thread. Running jobs go on."""
        self._loop.close()
        self._pool.join(_CLOSING_S)

    def wake(self) -> None:
        """Say that a job was created, or that a step may have become possible."""
        self._loop.wake()

    def stop_job(self, name: str) -> bool:
        """Ask for a job's end; False when it has ended or is asked already.

        Raises:
            StorageError: the database cannot be written.
        """
        at_ms = clock.now_ms()
        changed = self._state.transform_jobs.change(
            name, lambda job: transitions.stop_asked(job, at_ms)
        )
        if changed is not None:
            self.wake()
        return changed is not None

    def wait_until(
        self, name: str, satisfied: Callable[[TransformJobRecord], bool], seconds: float
    ) -> TransformJobRecord | None:
        """Wait until a job is as wanted, at most so long; the job then, None when there is none.

        Many callers at once do not wait: they get the job as it is.

        Raises:
            StorageError: the database cannot be read.
        """
        return self._loop.wait_until(self._state.transform_jobs.find, name, satisfied, seconds)

    def _next(self) -> float | None:
        """Take every job a step further; how long the next round may wait, None for ever."""
        jobs = self._state.transform_jobs.select(ACTIVE)
        active = {job.number for job in jobs}
        self._conductors = {n: one for n, one in self._conductors.items() if n in active}
        self._failures = {n: one for n, one in self._failures.items() if n in active}
        moving = [job for job in jobs if job.phase != transitions.QUEUED]
        queued = [job for job in jobs if job.phase == transitions.QUEUED]
        for waiting in queued[: max(0, self._settings.max_jobs - len(moving))]:
            admitted = self._state.transform_jobs.change(
                waiting.name, lambda job: transitions.admitted(job, clock.now_ms())
            )
            if admitted is not None:
                moving.append(admitted)
        for job in moving:
            self._attempt(job)
        return self._timing.tick_s if moving else None

    def _attempt(self, job: TransformJobRecord) -> None:
        """Take a step with one; one that fails is left alone for a while, and only that one."""
        failure = self._failures.get(job.number)
        if failure is not None and time.monotonic() < failure.retry_at:
            return
        try:
            self._conductor(job).step(job)
        except Exception as error:
            if failure is None or failure.text != str(error):
                logger.exception("A step of transform job %s failed and is tried again", job.name)
            retry_at = time.monotonic() + self._timing.retry_s
            self._failures[job.number] = _Failure(str(error), retry_at)
        else:
            self._failures.pop(job.number, None)

    def _conductor(self, job: TransformJobRecord) -> TransformConductor:
        conductor = self._conductors.get(job.number)
        if conductor is None:
            spec = TransformSpec(
                name=job.name,
                arn=job.arn,
                request=job.request,
                model=job.model,
                directory=JobDirectory(self._settings.transforms_dir / job.name),
                environment=self._job_environment(),
                created_ms=job.created_ms,
            )
            conductor = self._conductors[job.number] = TransformConductor(
                self._state,
                self._executor,
                self._pool,
                spec,
                timing=self._timing,
                changed=self.wake,
            )
        return conductor
