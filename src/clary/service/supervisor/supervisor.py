"""Moves training jobs from state to state; the only writer of their status."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence

from clary.formats.job_directory import JobDirectory
from clary.service.executors.executor import Executor, TrainingJobSpec
from clary.service.state.state import State
from clary.service.state.training_jobs import TrainingJob
from clary.service.supervisor.admission import Admission
from clary.service.supervisor.conducting import Conductor
from clary.service.supervisor.daemon_pool import DaemonPool
from clary.service.supervisor.timing import Timing
from clary.service.supervisor.transitions import PENDING, STARTING, Event, advance, state_of
from clary.settings import Settings

logger = logging.getLogger(__name__)

_YOUNG_S = 60
_QUEUE_TICK_S = 1.0
_AFTER_A_FAILURE_S = 1.0
_CLOSING_S = 5.0


class Supervisor:
    """Takes every training job from its creation to its end.

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
    ) -> None:
        """Assemble the parts; `start` sets it going.

        Args:
            state: where jobs are stored.
            executor: where they run; closed with the supervisor.
            settings: the home, and how many jobs run at once.
            job_environment: what Clary adds to a job's environment, asked for each job.
            timing: how long to wait for what.
        """
        self._state = state
        self._executor = executor
        self._settings = settings
        self._job_environment = job_environment
        self._timing = timing or Timing()
        self._admission = Admission(settings.max_jobs)
        self._pool = DaemonPool()
        self._conductors: dict[str, Conductor] = {}
        self._changes = 0
        self._condition = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="clary-supervisor", daemon=True)

    def start(self) -> None:
        """Take up all jobs that have not ended."""
        self._thread.start()

    def close(self) -> None:
        """Let go of the executor. Running jobs go on."""
        self.release()
        if self._thread.is_alive():
            self._thread.join()
        self._executor.close()
        self._pool.join(_CLOSING_S)

    def release(self) -> None:
        """Decide nothing more, and let waiting callers return now: the service is about to end."""
        with self._condition:
            self._closing = True
            self._condition.notify_all()

    def submit(self, name: str) -> None:
        """Say that a job was created."""
        self._changed()

    def stop_job(self, name: str) -> bool:
        """Ask for a job's end; False when it has ended or is asked already.

        Raises:
            StorageError: the database cannot be written.
        """
        return self._apply(name, Event.STOP_ASKED)

    def delete_job(self, name: str) -> bool:
        """Ask that an ended job be forgotten, its folder with it; False when it has not ended.

        Raises:
            StorageError: the database cannot be written.
        """
        return self._apply(name, Event.DELETED)

    def wait_until(
        self, name: str, satisfied: Callable[[TrainingJob], bool], seconds: float
    ) -> TrainingJob | None:
        """Wait until a job is as wanted, at most so long; the job then, None when it is gone.

        Raises:
            StorageError: the database cannot be read.
        """
        deadline = time.monotonic() + seconds
        while True:
            with self._condition:
                seen = self._changes
            job = self._state.training_jobs.find(name)
            if job is None or satisfied(job):
                return job
            with self._condition:
                remaining = deadline - time.monotonic()
                if self._changes == seen and remaining > 0 and not self._closing:
                    self._condition.wait(remaining)
                if self._closing or time.monotonic() >= deadline:
                    return self._state.training_jobs.find(name)

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
        at_ms = int(time.time() * 1000)
        changed = self._state.training_jobs.change(name, lambda job: advance(job, event, at_ms))
        if changed is not None:
            self._changed()
        return changed is not None

    def _changed(self) -> None:
        with self._condition:
            self._changes += 1
            self._condition.notify_all()

    def _run(self) -> None:
        while not self._closing:
            with self._condition:
                seen = self._changes
            try:
                pause_s = self._round()
            except Exception:
                logger.exception("A round of the supervisor failed and is tried again")
                pause_s = _AFTER_A_FAILURE_S
            with self._condition:
                if self._changes == seen and not self._closing:
                    self._condition.wait(pause_s)

    def _round(self) -> float | None:
        """Take every job a step further; how long the next round may wait, None for ever."""
        jobs = self._state.training_jobs.active()
        active = {job.name for job in jobs}
        self._conductors = {
            name: conductor for name, conductor in self._conductors.items() if name in active
        }
        queued = [job for job in jobs if state_of(job) in {STARTING, PENDING}]
        running = [job for job in jobs if job not in queued and job.status != "Deleting"]
        for job in queued:
            if self._admit(job, running):
                running.append(job)
        for job in jobs:
            try:
                self._conductor(job).step(job)
            except Exception:
                logger.exception("A step of %s failed and is tried again", job.name)
        return self._pause(jobs, queued)

    def _admit(self, job: TrainingJob, running: Sequence[TrainingJob]) -> bool:
        obstacle = self._admission.obstacle(job, running)
        conductor = self._conductor(job)
        if obstacle is None:
            return conductor.tell(Event.ADMITTED)
        if job.message != obstacle:
            conductor.tell(Event.MACHINE_FULL, obstacle)
        return False

    def _conductor(self, job: TrainingJob) -> Conductor:
        conductor = self._conductors.get(job.name)
        if conductor is None:
            spec = TrainingJobSpec(
                name=job.name,
                arn=job.arn,
                request=job.request,
                directory=JobDirectory(self._settings.jobs_dir / job.name),
                environment=self._job_environment(),
            )
            conductor = self._conductors[job.name] = Conductor(
                self._state,
                self._executor,
                self._pool,
                spec,
                timing=self._timing,
                changed=self._changed,
            )
        return conductor

    def _pause(self, jobs: Sequence[TrainingJob], queued: Sequence[TrainingJob]) -> float | None:
        if len(jobs) == len(queued):
            return _QUEUE_TICK_S if queued else None
        now_ms = time.time() * 1000
        calm = all(
            job.status == "InProgress" and now_ms - job.modified_ms > _YOUNG_S * 1000
            for job in jobs
            if job not in queued
        )
        return self._timing.calm_tick_s if calm else self._timing.tick_s
