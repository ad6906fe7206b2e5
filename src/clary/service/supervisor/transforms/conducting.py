"""Takes one transform job a step further: looks at it, acts, and stores what happened."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from concurrent.futures import Executor as Pool
from concurrent.futures import Future

from clary import clock
from clary.service.executors.executor import Ended, Gone, Observation, Running, Waiting
from clary.service.executors.transform_executor import TransformExecutor, TransformSpec
from clary.service.state.log_streams import LogStream
from clary.service.state.state import State
from clary.service.state.transform_jobs import TransformJobRecord
from clary.service.supervisor.host_metrics import HostMetrics
from clary.service.supervisor.looking import Look
from clary.service.supervisor.reasons import failure_reason
from clary.service.supervisor.timing import Timing
from clary.service.supervisor.transforms import transitions
from clary.service.supervisor.transforms.transitions import (
    DISCARDING,
    PREPARING,
    TRANSFORMING,
    UPLOADING,
)

logger = logging.getLogger(__name__)

LOG_GROUP = "/aws/sagemaker/TransformJobs"
# What is half done of a job that is stopped is not kept: its hosts need no time for that.
_GRACE_S = 10.0


class TransformConductor:
    """What one service process knows of one transform job besides what is stored.

    Owned by the transform supervisor; `step` is called on its thread alone. Everything here may
    be lost: a new conductor finds it out again from the state and the processes.
    """

    def __init__(
        self,
        state: State,
        executor: TransformExecutor,
        pool: Pool,
        spec: TransformSpec,
        *,
        timing: Timing,
        changed: Callable[[], None],
    ) -> None:
        self._state = state
        self._executor = executor
        self._pool = pool
        self._spec = spec
        self._timing = timing
        self._changed = changed
        self._work: Future[None] | None = None
        self._working_on = ""
        self._launched = False
        self._known: set[str] = set()
        self._usage = HostMetrics(spec.name, spec.directory.root, LOG_GROUP)
        self._sampling: Future[None] | None = None
        self._sampled_at = float("-inf")
        self._stopping_since: float | None = None
        self._terminated = self._killed = False
        self._title = f"Transform job {spec.name}"
        self._sight = Look(
            self._title, kill=lambda: executor.kill(self._spec), unseen_s=timing.unseen_s
        )
        self._waiting_since: float | None = None

    def step(self, job: TransformJobRecord) -> None:
        """Do what the job's phase asks for.

        Raises:
            StorageError: the database cannot be written.
        """
        if job.status == "Stopping" and job.phase in {PREPARING, TRANSFORMING}:
            self._stop(job)
        elif job.phase == PREPARING:
            self._prepare()
        elif job.phase == TRANSFORMING:
            self._run()
        elif job.phase == UPLOADING:
            done, failure = self._done(UPLOADING, self._executor.collect)
            if done:
                self._change(lambda now: transitions.over(now, failure, clock.now_ms()))
        elif job.phase == DISCARDING:
            done, _ = self._done(DISCARDING, self._executor.tidy)
            if done:
                self._change(lambda now: transitions.discarded(now, clock.now_ms()))

    def _prepare(self) -> None:
        done, failure = self._done(PREPARING, self._executor.prepare)
        if not done:
            return
        if failure is not None:
            self._change(lambda now: transitions.over(now, failure, clock.now_ms()))
        elif self._change(lambda now: transitions.prepared(now, clock.now_ms())):
            self._launch()

    def _launch(self) -> None:
        done, failure = self._done(TRANSFORMING, self._executor.launch)
        if done and failure is not None:
            # Of several hosts, the first ones may run already.
            self._executor.kill(self._spec)
            self._change(lambda now: transitions.over(now, failure, clock.now_ms()))
        self._launched = done and failure is None

    def _run(self) -> None:
        if not self._launched:
            self._launch()
            return
        observation = self._look()
        if isinstance(observation, Waiting):
            observation = self._await_hosts()
        else:
            self._waiting_since = None
        if isinstance(observation, Running):
            self._sample()
        if observation is None or isinstance(observation, Running):
            return
        if not self._may_sample():
            return
        self._pool.submit(self._store_metrics, running=False)
        failure = observation.failure if isinstance(observation, Ended) else observation.reason
        self._change(lambda now: transitions.transformed(now, failure, clock.now_ms()))

    def _await_hosts(self) -> Gone | None:
        """Of hosts that were launched, and are not seen to run: None while they may be yet."""
        now = time.monotonic()
        if self._waiting_since is None:
            self._waiting_since = now
        if now - self._waiting_since < self._timing.unseen_s:
            return None
        self._executor.kill(self._spec)
        return Gone(
            "InternalServerError: the processes of the job were launched, and do not run "
            f"{self._timing.unseen_s:.0f} s later"
        )

    def _stop(self, job: TransformJobRecord) -> None:
        if self._working_on == TRANSFORMING and self._work is not None and not self._work.done():
            return  # what is being launched cannot be told yet
        now = time.monotonic()
        if self._stopping_since is None:
            self._stopping_since = now
        if not self._terminated:
            self._executor.terminate(self._spec)
            self._terminated = True
        late = now - self._stopping_since >= _GRACE_S
        if late and not self._killed:
            self._executor.kill(self._spec)
            self._killed = True
        if job.phase == PREPARING:
            if self._work is None or self._work.done():
                self._change(lambda now: transitions.over(now, None, clock.now_ms()))
            return
        observation = self._look()
        # An earlier service may have died after it had stored the launch and before it launched.
        never = late and isinstance(observation, Waiting)
        if never or isinstance(observation, Ended | Gone):
            self._change(lambda now: transitions.transformed(now, None, clock.now_ms()))

    def _look(self) -> Observation | None:
        """How the job stands; None when it cannot be known now."""
        return self._sight.at(self._observe)

    def _observe(self) -> Observation:
        observation = self._executor.look(self._spec)
        self._register_logs()
        return observation

    def _sample(self) -> None:
        """Take a sample of what the instances use, beside the conductor, when it is time to."""
        now = time.monotonic()
        if self._may_sample() and now - self._sampled_at >= self._timing.sample_s:
            self._sampled_at = now
            self._sampling = self._pool.submit(self._store_metrics, running=True)

    def _may_sample(self) -> bool:
        return self._sampling is None or self._sampling.done()

    def _store_metrics(self, *, running: bool) -> None:
        """Sample, and store the means of a minute that is over, or of a job that is."""
        try:
            if running:
                hosts = self._executor.processes(self._spec)
                means = self._usage.sample(hosts, clock.now_ms())
            else:
                means = self._usage.means()
            self._state.metrics.add(means)
        except Exception:
            logger.exception("What %s uses is not in its metrics", self._spec.name)

    def _register_logs(self) -> None:
        for log in self._executor.logs(self._spec):
            if log.stream not in self._known:
                stream = LogStream(LOG_GROUP, log.stream, log.path, clock.now_ms())
                self._state.logs.add_stream(stream)
                self._known.add(log.stream)

    def _done(self, phase: str, work: Callable[[TransformSpec], None]) -> tuple[bool, str | None]:
        """Begin the work of a phase on the pool; whether it is done, and why it failed."""
        if self._work is None or self._working_on != phase:
            self._working_on = phase
            self._work = self._pool.submit(work, self._spec)
            self._work.add_done_callback(lambda _: self._changed())
        if not self._work.done():
            return False, None
        error = self._work.exception()
        return True, None if error is None else self._reason(error)

    def _change(self, change: Callable[[TransformJobRecord], TransformJobRecord | None]) -> bool:
        changed = self._state.transform_jobs.change(self._spec.name, change)
        if changed is not None:
            self._changed()
        return changed is not None

    def _reason(self, error: BaseException) -> str:
        return failure_reason(error, self._title)
