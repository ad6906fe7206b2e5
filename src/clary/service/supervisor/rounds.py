"""One look at all jobs: tuning jobs first, then who may start, then a step for each."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor as Pool
from typing import NamedTuple, TypeVar

from clary import clock
from clary.formats.job_directory import JobDirectory
from clary.service.executors.executor import Executor, TrainingJobSpec
from clary.service.state.state import State
from clary.service.state.training_jobs import ACTIVE, JobSummary, TrainingJob
from clary.service.supervisor.admission import SHARED, Admission, Lack
from clary.service.supervisor.conducting import Conductor
from clary.service.supervisor.rules.delivering import Deliveries
from clary.service.supervisor.timing import Timing
from clary.service.supervisor.transitions import PENDING, STARTING, Event
from clary.service.supervisor.tuning.rounds import TuningRounds
from clary.settings import Settings

T = TypeVar("T")

logger = logging.getLogger(__name__)

_YOUNG_MS = 60_000
_QUEUE_TICK_S = 1.0
_QUEUED = {STARTING, PENDING}


class _Failure(NamedTuple):
    text: str
    retry_at: float


class Rounds:
    """The supervisor's decisions, without its thread.

    Owned by the supervisor, whose thread calls `next`. It may be thrown away at any point, as by
    a kill: another one goes on from the state.
    """

    def __init__(
        self,
        state: State,
        executor: Executor,
        settings: Settings,
        *,
        pool: Pool,
        job_environment: Callable[[], Mapping[str, str]],
        timing: Timing,
        changed: Callable[[], None],
    ) -> None:
        """Assemble the parts.

        Args:
            state: where jobs are stored.
            executor: where they run.
            settings: the home, and how many jobs run at once.
            pool: runs what may take long.
            job_environment: what Clary adds to a job's environment, asked for each job.
            timing: how long to wait for what.
            changed: called after every change and when a step may have become possible, from any
                thread.
        """
        self._state = state
        self._executor = executor
        self._settings = settings
        self._pool = pool
        self._job_environment = job_environment
        self._timing = timing
        self._changed = changed
        self._admission = Admission(settings.max_jobs)
        self._tuning = TuningRounds(state, pool, timing=timing, changed=changed)
        self._deliveries = Deliveries(state, executor.checkers, self._spec, period_s=timing.rules_s)
        # By number: a deleted job's name may be another's by the next round.
        self._conductors: dict[int, Conductor] = {}
        self._failures: dict[int, _Failure] = {}
        self._queue_due = 0.0
        self._states: list[tuple[int, str, str]] = []
        self._active: set[int] = set()

    def next(self) -> float | None:
        """Take every job a step further; how long the next round may wait, None for ever.

        Raises:
            StorageError: the database cannot be read or written.
        """
        tuning, training = self._tuning.next(), self._next_of_training_jobs()
        pauses = (tuning, training, self._deliveries.next(self._active))
        return min((pause for pause in pauses if pause is not None), default=None)

    def _next_of_training_jobs(self) -> float | None:
        jobs = self._state.training_jobs.summaries(ACTIVE)
        active = self._active = {job.number for job in jobs}
        self._conductors = {
            number: conductor for number, conductor in self._conductors.items() if number in active
        }
        self._failures = {
            number: failure for number, failure in self._failures.items() if number in active
        }
        self._admission.keep(active)
        queued = [job for job in jobs if (job.status, job.secondary) in _QUEUED]
        others = [job for job in jobs if (job.status, job.secondary) not in _QUEUED]
        due = time.monotonic() >= self._queue_due
        if due:
            self._queue_due = time.monotonic() + _QUEUE_TICK_S
        states = [(job.number, job.status, job.secondary) for job in jobs]
        if due or states != self._states:
            self._states = states
            self._admit_some(queued, [job.name for job in others if job.status != "Deleting"])
        for job in jobs if due else others:
            self._attempt(job, self._step)
        return self._pause(others, queued)

    def _attempt(self, summary: JobSummary, act: Callable[[TrainingJob], T]) -> T | None:
        """Do something with a job; one that fails is left alone for a while, and only that one."""
        failure = self._failures.get(summary.number)
        if failure is not None and time.monotonic() < failure.retry_at:
            return None
        job = self._state.training_jobs.find(summary.name)
        if job is None:
            return None
        try:
            done = act(job)
        except Exception as error:
            if failure is None or failure.text != str(error):
                logger.exception("A step of %s failed and is tried again", job.name)
            retry_at = time.monotonic() + self._timing.retry_s
            self._failures[summary.number] = _Failure(str(error), retry_at)
            return None
        self._failures.pop(summary.number, None)
        return done

    def _step(self, job: TrainingJob) -> None:
        self._conductor(job).step(job)

    def _admit_some(self, queued: Sequence[JobSummary], names: Sequence[str]) -> None:
        """Start queued jobs while there is room; tell those that come new why they wait."""
        find = self._state.training_jobs.find
        running = [job for name in names if queued and (job := find(name)) is not None]
        first: dict[Lack, str] = {}
        for summary in queued:
            full = self._admission.is_full(running)
            blocked = full or not first.keys().isdisjoint(SHARED)
            if blocked and (summary.status, summary.secondary) == PENDING and not summary.is_trial:
                if full:
                    self._claim(Lack.ROOM, summary, first)
                continue
            admitted = self._attempt(summary, lambda job: self._admit(job, running, first))
            if admitted is not None:
                running.append(admitted)

    def _admit(
        self, job: TrainingJob, running: Sequence[TrainingJob], first: dict[Lack, str]
    ) -> TrainingJob | None:
        """Start a job, or tell why it waits; the job where it has started."""
        obstacle = self._admission.obstacle(job, running, first)
        conductor = self._conductor(job)
        if obstacle is None:
            return job if conductor.tell(Event.ADMITTED) else None
        self._claim(obstacle.lack, job, first)
        if job.message != obstacle.sentence:
            conductor.tell(Event.MACHINE_FULL, obstacle.sentence)
        return None

    def _claim(self, lack: Lack, job: TrainingJob | JobSummary, first: dict[Lack, str]) -> None:
        """Make it the job's turn to get what it lacks, if it has waited for long enough."""
        if clock.now_ms() - job.created_ms >= self._timing.turn_s * 1000:
            first.setdefault(lack, job.name)

    def _conductor(self, job: TrainingJob) -> Conductor:
        conductor = self._conductors.get(job.number)
        if conductor is None:
            conductor = self._conductors[job.number] = Conductor(
                self._state,
                self._executor,
                self._pool,
                self._spec(job),
                timing=self._timing,
                changed=self._changed,
            )
        return conductor

    def _spec(self, job: TrainingJob) -> TrainingJobSpec:
        return TrainingJobSpec(
            name=job.name,
            arn=job.arn,
            request=job.request,
            directory=JobDirectory(self._settings.jobs_dir / job.name),
            environment=self._job_environment(),
            created_ms=job.created_ms,
            tuning_job=None if job.trial is None else job.trial.tuning_job,
            updates=job.updates,
        )

    def _pause(self, others: Sequence[JobSummary], queued: Sequence[JobSummary]) -> float | None:
        moving = [job for job in others if job.number not in self._failures]
        if not moving:
            if self._failures:
                return self._timing.retry_s
            return _QUEUE_TICK_S if queued else None
        at_ms = clock.now_ms()
        calm = all(
            job.status == "InProgress" and at_ms - job.modified_ms > _YOUNG_MS for job in moving
        )
        return self._timing.calm_tick_s if calm else self._timing.tick_s
