"""Watches a running job beside its conductor: its logs and what its hosts use."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from concurrent.futures import Executor as Pool
from concurrent.futures import Future

from clary import clock
from clary.errors import StorageError
from clary.service.executors.executor import Executor, TrainingJobSpec
from clary.service.state.state import State
from clary.service.supervisor.host_metrics import HostMetrics
from clary.service.supervisor.log_following import LogFollower
from clary.service.supervisor.timing import Timing

logger = logging.getLogger(__name__)

_BACKOFF_S = 30


class Watcher:
    """Reads and samples on the pool, one piece of work at a time.

    Owned by a conductor, whose thread calls every method. What fails is told in the service's
    log with its traceback and tried again; it never ends a job.
    """

    def __init__(
        self,
        state: State,
        executor: Executor,
        pool: Pool,
        spec: TrainingJobSpec,
        *,
        timing: Timing,
        wake: Callable[[], None],
    ) -> None:
        self._state = state
        self._executor = executor
        self._pool = pool
        self._spec = spec
        self._job = spec.name
        self._timing = timing
        self._wake = wake
        self._follower: LogFollower | None = None
        self._usage = HostMetrics(spec.name, spec.directory.root)
        self._work: Future[None] | None = None
        self._last: Future[None] | None = None
        self._followed_at = self._sampled_at = float("-inf")
        self._late_at = float("inf")

    def watch(self, *, running: bool) -> None:
        """Follow, and sample what runs, when it is time to."""
        now = time.monotonic()
        if not running:
            # Counts from the first line of user code; a short job has a sample, too.
            self._sampled_at = now - self._timing.sample_s + min(0.5, self._timing.sample_s)
        if self._last is not None or (self._work is not None and not self._work.done()):
            return
        if now - self._sampled_at >= self._timing.sample_s:
            self._followed_at = self._sampled_at = now
            self._work = self._pool.submit(self._look, sample=True)
        elif now - self._followed_at >= self._timing.follow_s:
            self._followed_at = now
            self._work = self._pool.submit(self._look, sample=False)

    def drained(self) -> bool:
        """Whether all is read of a job that has ended, or time is up; call it again until it is."""
        now = time.monotonic()
        self._late_at = min(self._late_at, now + self._timing.last_read_s)
        if self._is_late():
            return True
        if self._work is not None and not self._work.done():
            return False
        if self._last is None:
            self._last = self._pool.submit(self._finish)
            self._last.add_done_callback(lambda _: self._wake())
        return self._last.done()

    def _is_late(self) -> bool:
        return time.monotonic() >= self._late_at

    def _look(self, *, sample: bool) -> None:
        try:
            self._follow()
            if sample:
                hosts = self._executor.processes(self._spec)
                self._state.metrics.add(self._usage.sample(hosts, clock.now_ms()))
        except Exception:
            logger.exception("Watching %s failed and is tried again in %d s", self._job, _BACKOFF_S)
            self._followed_at = self._sampled_at = time.monotonic() + _BACKOFF_S

    def _finish(self) -> None:
        means = self._usage.means()
        while True:
            try:
                self._follow()
                self._state.metrics.add(means)
            except Exception as error:
                if self._is_late() or not isinstance(error, OSError | StorageError):
                    logger.exception("The end of the log of %s is not in its metrics", self._job)
                    return
            else:
                return
            time.sleep(self._timing.retry_s)

    def _follow(self) -> None:
        if self._follower is None:
            job = self._state.training_jobs.find(self._job)
            if job is None:
                return
            self._follower = LogFollower(self._state, job)
        if not self._follower.follow(self._executor.logs(self._spec), self._is_late):
            logger.warning("The log of %s is too long to find the metrics of its end", self._job)
