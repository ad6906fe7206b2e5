"""Moves training and tuning jobs from state to state; the only writer of their status."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from clary import clock
from clary.service.executors.executor import Executor
from clary.service.invocations.traffic import Traffic
from clary.service.state.state import State
from clary.service.state.training_jobs import TrainingJob
from clary.service.state.tuning_jobs import TuningJob
from clary.service.supervisor.daemon_pool import DaemonPool
from clary.service.supervisor.endpoints.supervisor import EndpointSupervisor
from clary.service.supervisor.round_loop import RoundLoop
from clary.service.supervisor.rounds import Rounds
from clary.service.supervisor.rules.transitions import stopped
from clary.service.supervisor.timing import Timing
from clary.service.supervisor.transitions import Event, advance, state_of
from clary.service.supervisor.tuning import transitions as tuning
from clary.settings import Settings

# Each waits on a thread of its own.
WAITER_LIMIT = 128
_CLOSING_S = 5.0


class Supervisor:
    """Takes every training job and every tuning job from its creation to its end.

    Owned by the service. One thread of its own decides, work that may take long runs beside it.
    Every public method may be called from any thread. After a crash a new supervisor takes up
    what the state holds: nothing is lost, and nothing launched twice.
    """

    def __init__(
        self,
        state: State,
        executor: Executor,
        settings: Settings,
        job_environment: Callable[[], Mapping[str, str]],
        timing: Timing | None = None,
        *,
        traffic: Traffic | None = None,
    ) -> None:
        """Assemble the parts; `start` sets it going.

        Args:
            state: where jobs are stored.
            executor: where they run; closed with the supervisor.
            settings: the home, and how many jobs run at once.
            job_environment: what Clary adds to a job's environment, asked for each job.
            timing: how long to wait for what.
            traffic: what goes through the endpoints; nothing where there is none.
        """
        self._state = state
        self.traffic = traffic or Traffic()
        self.endpoints = EndpointSupervisor(
            state,
            executor.replicas,
            settings,
            environment=job_environment,
            traffic=self.traffic,
        )
        self._executor = executor
        self._pool = DaemonPool()
        rounds = Rounds(
            state,
            executor,
            settings,
            pool=self._pool,
            job_environment=job_environment,
            timing=timing or Timing(),
            changed=self._changed,
        )
        self._loop = RoundLoop("clary-supervisor", rounds.next, waiters=WAITER_LIMIT)

    def start(self) -> None:
        """Take up all jobs that have not ended, and all endpoints."""
        self._loop.start()
        self.endpoints.start()

    def close(self) -> None:
        """Let go of the executor. Running jobs go on."""
        self.release()
        self._loop.close()
        self.endpoints.close()
        self._executor.close()
        self._pool.join(_CLOSING_S)

    def release(self) -> None:
        """Decide nothing more, and let waiting callers return now: the service is about to end."""
        self._loop.release()
        self.endpoints.release()

    def submit(self, name: str) -> None:
        """Say that a job was created."""
        self._changed()

    def stop_job(self, name: str) -> bool:
        """Ask for a job's end; False when it has ended or is asked already.

        Raises:
            StorageError: the database cannot be written.
        """
        return self._apply(name, Event.STOP_ASKED)

    def stop_rule(self, processing_job: str) -> bool:
        """Ask that a rule judge no more; False when it has judged, or is asked already.

        Raises:
            StorageError: the database cannot be written.
        """
        rule = self._state.rule_evaluations.find(processing_job)
        if rule is None:
            return False
        at_ms = clock.now_ms()
        changed = self._state.rule_evaluations.change(rule.number, lambda one: stopped(one, at_ms))
        if changed is not None:
            self._changed()
        return changed is not None

    def delete_job(self, name: str) -> bool:
        """Ask that an ended job be forgotten, its folder with it; False when it has not ended.

        Raises:
            StorageError: the database cannot be written.
        """
        return self._apply(name, Event.DELETED)

    def stop_tuning_job(self, name: str) -> bool:
        """Ask for a tuning job's end, its trials with it; False when there is nothing to stop.

        Raises:
            StorageError: the database cannot be written.
        """
        at_ms = clock.now_ms()
        changed = self._state.tuning_jobs.change(
            name, lambda job: tuning.advance(job, tuning.Event.STOP_ASKED, at_ms)
        )
        if changed is not None:
            self._changed()
        return changed is not None

    def delete_tuning_job(self, name: str) -> bool:
        """Forget an ended tuning job; its training jobs stay. False when it has not ended.

        Raises:
            StorageError: the database cannot be written.
        """
        return self._state.forget_tuning_job(name, lambda job: not job.active)

    def wait_until(
        self, name: str, satisfied: Callable[[TrainingJob], bool], seconds: float
    ) -> TrainingJob | None:
        """Wait until a job is as wanted, at most so long; the job then, None when it is gone.

        More than `WAITER_LIMIT` callers do not wait: they get the job as it is.

        Raises:
            StorageError: the database cannot be read.
        """
        return self._loop.wait_until(self._state.training_jobs.find, name, satisfied, seconds)

    def wait_until_tuning(
        self, name: str, satisfied: Callable[[TuningJob], bool], seconds: float
    ) -> TuningJob | None:
        """`wait_until` for a tuning job.

        Raises:
            StorageError: the database cannot be read.
        """
        return self._loop.wait_until(self._state.tuning_jobs.find, name, satisfied, seconds)

    def wait_for_change(self, name: str, seconds: float) -> TrainingJob | None:
        """Wait until a job is in another state than now, at most so long.

        Raises:
            StorageError: the database cannot be read.
        """
        before = self._state.training_jobs.find(name)
        if before is None:
            return None
        return self.wait_until(name, lambda job: state_of(job) != state_of(before), seconds)

    def _apply(self, name: str, event: Event) -> bool:
        at_ms = clock.now_ms()
        changed = self._state.training_jobs.change(name, lambda job: advance(job, event, at_ms))
        if changed is not None:
            self._changed()
        return changed is not None

    def _changed(self) -> None:
        self._loop.wake()
