"""Takes one training job a step further: looks at it, acts, and stores what happened."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Executor as Pool
from concurrent.futures import Future
from dataclasses import replace
from typing import Any

from clary import clock
from clary.errors import ClaryError
from clary.service.executors.executor import (
    Artifacts,
    Ended,
    Executor,
    Gone,
    Observation,
    Running,
    TrainingJobSpec,
    Waiting,
)
from clary.service.state.state import State
from clary.service.state.training_jobs import TrainingJob
from clary.service.supervisor.deadlines import exceeded
from clary.service.supervisor.log_following import LOG_GROUP
from clary.service.supervisor.looking import Look
from clary.service.supervisor.reasons import failure_reason
from clary.service.supervisor.rules.evaluations import LOG_GROUP as RULES_LOG_GROUP
from clary.service.supervisor.rules.transitions import closed
from clary.service.supervisor.rules.watching import RuleWatcher
from clary.service.supervisor.timing import Timing
from clary.service.supervisor.transitions import (
    DOWNLOADING,
    STOPPING,
    STOPPING_UPLOADING,
    TABLE,
    TRAINING,
    UPLOADING,
    Event,
    advance,
    last_event,
    state_of,
)
from clary.service.supervisor.watching import Watcher

logger = logging.getLogger(__name__)


class Conductor:
    """What one service process knows of one job besides what is stored.

    Owned by the supervisor; `step` is called on its thread alone. Everything here may be lost: a
    new conductor finds it out again from the state and the executor.
    """

    def __init__(
        self,
        state: State,
        executor: Executor,
        pool: Pool,
        spec: TrainingJobSpec,
        *,
        timing: Timing,
        changed: Callable[[], None],
    ) -> None:
        """Take over a job, whatever state it is in.

        Args:
            state: where the job is stored.
            executor: where it runs.
            pool: runs what may take long.
            spec: the job.
            timing: how long to wait.
            changed: called after every change and when a step may have become possible, from any
                thread.
        """
        self._state = state
        self._executor = executor
        self._pool = pool
        self._spec = spec
        self._timing = timing
        self._changed = changed
        self._watcher = Watcher(state, executor, pool, spec, timing=timing, wake=changed)
        self._rules = RuleWatcher(state, executor.checkers, pool, spec, timing=timing, wake=changed)
        self._preparing: Future[None] | None = None
        self._collecting: Future[Artifacts] | None = None
        self._discarding: Future[None] | None = None
        self._launched = False
        self._stopping_since: float | None = None
        self._terminated = False
        self._killed_at: float | None = None
        self._title = f"Training job {spec.name}"
        self._sight = Look(
            self._title, kill=lambda: executor.kill(self._spec), unseen_s=timing.unseen_s
        )
        # What its hosts have read when they began is found again by them, and not written anew.
        self._configured: Mapping[str, Any] = {}
        self._configure_at = float("-inf")

    def step(self, job: TrainingJob) -> None:
        """Do what the job's state asks for; nothing when it has ended or is queued.

        Raises:
            StorageError: the database cannot be written.
        """
        if job.updates != self._spec.updates:
            self._spec = replace(self._spec, updates=job.updates)
            self._rules.renew(self._spec)
        here = state_of(job)
        limit = exceeded(job, clock.now_ms())
        if limit is not None and limit in TABLE.get(here, {}) and self.tell(limit):
            return
        if here == DOWNLOADING:
            self._prepare()
        elif here == TRAINING:
            self._run(job)
        elif here == STOPPING:
            self._stop(job)
        elif here in {UPLOADING, STOPPING_UPLOADING}:
            self._collect()
        elif job.status == "Deleting":
            self._discard(job)

    def tell(
        self,
        event: Event,
        message: str | None = None,
        failure: str | None = None,
        at_ms: int | None = None,
    ) -> bool:
        """Store that something happened to the job; whether that changed it.

        Raises:
            StorageError: the database cannot be written.
        """
        return self._change(
            lambda job: advance(job, event, at_ms or clock.now_ms(), message, failure)
        )

    def _end(self, artifacts: Artifacts | None = None) -> None:
        def end(job: TrainingJob) -> TrainingJob | None:
            if artifacts is not None:
                job = replace(
                    job, model_artifacts=artifacts.model, output_artifacts=artifacts.output
                )
            return advance(job, last_event(job), clock.now_ms())

        self._change(end)

    def _change(self, change: Callable[[TrainingJob], TrainingJob | None]) -> bool:
        changed = self._state.change_training_job(self._spec.name, change, closed)
        if changed is not None:
            self._changed()
        return changed is not None

    def _prepare(self) -> None:
        if self._preparing is None:
            self._preparing = self._begin(self._executor.prepare, self._spec, self._say)
        elif self._preparing.done():
            failure = self._failure_of(self._preparing)
            if failure is not None:
                self.tell(Event.FAILED, failure=failure)
            elif self.tell(Event.PREPARED):
                self._launch()

    def _launch(self) -> None:
        try:
            self._executor.launch(self._spec)
        except Exception as error:  # noqa: BLE001 - the job fails with it
            reason = self._reason(error)
            # Of several hosts, the first ones may run already.
            self._executor.kill(self._spec)
            self._rules.abandon()
            self.tell(Event.FAILED, failure=reason)
        else:
            self._launched = True

    def _run(self, job: TrainingJob) -> None:
        if not self._launched:
            self._launch()
            return
        observation = self._look()
        if observation is None:
            return
        self._watcher.watch(running=isinstance(observation, Running))
        if isinstance(observation, Running):
            self._configure()
            self._rules.watch()
            if job.running_ms is None:
                self.tell(Event.RUNNING, at_ms=int(observation.since.timestamp() * 1000))
        elif isinstance(observation, Ended | Gone) and self._watcher.drained():
            self.tell(Event.HOSTS_ENDED, failure=_failure_told_by(observation))

    def _configure(self) -> None:
        """Let a running job's hosts read what was changed; what fails is tried again."""
        now = time.monotonic()
        if self._spec.updates == self._configured or now < self._configure_at:
            return
        try:
            self._executor.configure(self._spec)
        except (ClaryError, OSError) as error:
            if self._configure_at == float("-inf"):
                logger.warning("%s does not know what was changed: %s", self._spec.name, error)
            self._configure_at = now + self._timing.retry_s
        else:
            self._configured = self._spec.updates
            self._configure_at = float("-inf")

    def _stop(self, job: TrainingJob) -> None:
        now = time.monotonic()
        if self._stopping_since is None:
            self._stopping_since = now
        grace_over = now - self._stopping_since >= self._timing.grace_s
        if not self._terminated and not grace_over:
            if job.launched or self._preparing is not None:
                self._executor.terminate(self._spec)
            self._terminated = True
        if not job.launched:
            if self._preparing is None or self._preparing.done():
                self._end()
            return
        observation = self._look()
        self._watcher.watch(running=isinstance(observation, Running))
        if isinstance(observation, Running):
            self._rules.watch()
        if isinstance(observation, Ended | Gone):
            if self._watcher.drained():
                self.tell(Event.HOSTS_ENDED)
        elif self._killed_at is None:
            if grace_over:
                self._executor.kill(self._spec)
                self._killed_at = now
        elif now - self._killed_at >= self._timing.settle_s and isinstance(observation, Waiting):
            # An earlier service died after it had stored the launch and before it launched.
            self._end()

    def _look(self) -> Observation | None:
        """How the job stands; None when it cannot be known now."""
        return self._sight.at(lambda: self._executor.look(self._spec))

    def _collect(self) -> None:
        if self._collecting is None:
            self._collecting = self._begin(self._executor.collect, self._spec)
        # Beside the upload, and whatever becomes of it.
        settled = self._rules.settled()
        if settled and self._collecting.done():
            failure = self._failure_of(self._collecting)
            if failure is not None:
                self.tell(Event.FAILED, failure=failure)
            else:
                self._end(self._collecting.result())

    def _discard(self, job: TrainingJob) -> None:
        if self._discarding is None:
            self._discarding = self._begin(self._executor.discard, self._spec)
        elif self._discarding.done():
            failure = self._failure_of(self._discarding)
            if failure is not None:
                logger.warning("The folder of %s is left behind: %s", job.name, failure)
            hosts = self._spec.host_names
            self._state.forget_training_job(job, LOG_GROUP, hosts, RULES_LOG_GROUP)
            self._changed()

    def _begin(self, work: Callable[..., Any], *arguments: Any) -> Future[Any]:
        future = self._pool.submit(work, *arguments)
        future.add_done_callback(lambda _: self._changed())
        return future

    def _say(self, message: str) -> None:
        self.tell(Event.PREPARING, message)

    def _failure_of(self, done: Future[Any]) -> str | None:
        error = done.exception()
        return None if error is None else self._reason(error)

    def _reason(self, error: BaseException) -> str:
        return failure_reason(error, self._title)


def _failure_told_by(observation: Ended | Gone) -> str | None:
    if isinstance(observation, Gone):
        return observation.reason
    if observation.exit_code == 0:
        return None
    return observation.failure or f"AlgorithmError: , exit code: {observation.exit_code}"
