"""A tuning job's steps on hosts in memory: limits, clocks, curves and a tuner that fails."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from concurrent.futures import Executor as Pool
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from clary.service.state.metric_data import Datum, Metric
from clary.service.state.state import State
from clary.service.state.training_jobs import FinalMetric, TrainingJob
from clary.service.state.tuning_jobs import TuningJob
from clary.service.supervisor.timing import Timing
from clary.service.supervisor.transitions import STOPPING, TRAINING, UPLOADING, state_of
from clary.service.supervisor.tuning.beginning import Beginner
from clary.service.supervisor.tuning.definitions import read_definitions
from clary.service.supervisor.tuning.rounds import TuningRounds
from clary.service.supervisor.tuning.transitions import Event, advance
from tests.service.supervisor.test_crashes import InlinePool
from tests.service.supervisor.tuning.conftest import new_tuning_job

METRICS = "/aws/sagemaker/TrainingJobs"


class Desk:
    """One tuning job, moved by hand: no supervisor, no hosts."""

    def __init__(self, state: State, timing: Timing, pool: Pool) -> None:
        self.state = state
        self.timing = timing
        self.pool = pool

    def put(self, job: TuningJob) -> None:
        self.state.create_tuning_job(job, {})
        self.rounds = TuningRounds(self.state, self.pool, timing=self.timing, changed=lambda: None)

    @property
    def job(self) -> TuningJob:
        (job,) = self.state.tuning_jobs.select()
        return job

    @property
    def trials(self) -> list[TrainingJob]:
        return self.state.training_jobs.trials_of(self.job.number)

    def step(self, times: int = 1) -> None:
        for _ in range(times):
            self.rounds.next()

    def change(self, number: int, **changes: Any) -> None:
        name = self.trials[number - 1].name
        self.state.training_jobs.change(name, lambda job: replace(job, **changes))

    def train(self, number: int) -> None:
        self.change(number, status=TRAINING[0], secondary=TRAINING[1])

    def end(self, number: int, status: str, value: float | None = None, **changes: Any) -> None:
        metrics = {} if value is None else {"loss": FinalMetric(value, 1)}
        self.change(number, status=status, secondary=status, final_metrics=metrics, **changes)

    def emit(self, number: int, *values: float, at_ms: int = 1) -> None:
        """Log values, all in the same millisecond."""
        name = self.trials[number - 1].name
        metric = Metric(METRICS, "loss", {"TrainingJobName": name})

        def read(job: TrainingJob) -> TrainingJob:
            before = sum(job.log_offsets.values())
            return replace(
                job,
                final_metrics={"loss": FinalMetric(values[-1], at_ms)},
                log_offsets={"log": before + len(values)},
            )

        self.state.record_logs(name, read, [Datum.of(metric, at_ms, v) for v in values], [])


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    state = State(tmp_path / "state.sqlite")
    yield Desk(state, Timing(retry_s=0.0, unseen_s=0.0), InlinePool())
    state.close()


def test_as_many_trials_run_as_may_and_the_next_begins_when_one_ends(desk: Desk) -> None:
    desk.put(new_tuning_job("any", trials=4, parallel=2))
    desk.step(3)
    assert len(desk.trials) == 2
    desk.end(1, "Completed", 0.5)
    desk.step(2)
    assert len(desk.trials) == 3
    desk.end(2, "Failed")
    desk.end(3, "Stopped", 0.7)
    desk.step(2)
    assert [trial.active for trial in desk.trials] == [False, False, False, True]
    desk.end(4, "Completed", 0.4)
    desk.step(2)
    assert desk.job.status == "Completed"
    assert desk.job.completion is not None
    assert desk.job.completion.reason == "trials"


def test_the_time_counts_from_the_creation_and_ends_what_runs(desk: Desk) -> None:
    job = new_tuning_job("late")
    limits = job.request["HyperParameterTuningJobConfig"]["ResourceLimits"]
    limits["MaxRuntimeInSeconds"] = 120
    desk.put(job)
    desk.step(2)
    desk.train(1)
    desk.state.tuning_jobs.change(
        "late", lambda job: replace(job, created_ms=job.created_ms - 121_000)
    )
    desk.step(2)
    assert desk.job.phase == "Completing"
    assert all(state_of(trial) == STOPPING for trial in desk.trials)
    assert len(desk.trials) == 2
    desk.end(1, "Stopped", 0.5)
    desk.end(2, "Stopped")
    desk.step()
    assert desk.job.status == "Completed"


def test_what_is_being_stored_is_not_cut_off(desk: Desk) -> None:
    desk.put(new_tuning_job("kind", TuningJobCompletionCriteria={"TargetObjectiveMetricValue": 1}))
    desk.step(2)
    desk.change(2, status=UPLOADING[0], secondary=UPLOADING[1])
    desk.end(1, "Completed", 0.5)
    desk.step(2)
    assert desk.job.phase == "Completing"
    assert state_of(desk.trials[1]) == UPLOADING


def test_a_curve_holds_every_value_even_equal_ones_of_one_moment(desk: Desk) -> None:
    desk.put(new_tuning_job("curves", trials=6, parallel=6, TrainingJobEarlyStoppingType="Auto"))
    desk.step(2)
    for number in range(1, 5):
        desk.emit(number, 0.5, 0.4, 0.3, 0.2)
        desk.end(number, "Completed", 0.2)
    for number in (5, 6):
        desk.train(number)
    desk.emit(5, 0.9)
    desk.emit(6, 0.1)
    desk.step()
    desk.emit(5, 0.9)
    desk.emit(6, 0.1)
    desk.step()
    # Nobody is judged in the first epochs.
    assert all(state_of(trial) == TRAINING for trial in desk.trials[4:])
    desk.emit(5, 0.9)
    desk.emit(6, 0.1)
    desk.step()
    assert state_of(desk.trials[4]) == STOPPING
    assert desk.trials[4].stop_cause == "FELL_BEHIND"
    assert state_of(desk.trials[5]) == TRAINING


class FailingPool(InlinePool):
    """Fails as often as it is told, as a tuner with a bug would."""

    def __init__(self, failures: int) -> None:
        self.failures = failures

    def submit(self, task: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        if self.failures == 0:
            return super().submit(task, *args, **kwargs)
        self.failures -= 1
        future: Future[Any] = Future()
        future.set_exception(RuntimeError("no such sampler"))
        return future


def test_a_tuner_that_fails_is_asked_again(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    desk.pool = FailingPool(2)
    desk.timing = Timing(retry_s=0.0, unseen_s=60.0)
    desk.put(new_tuning_job("patient"))
    with caplog.at_level(logging.ERROR):
        desk.step(7)
    assert len(desk.trials) == 2
    assert len([one for one in caplog.records if "can be begun" in one.message]) == 1


def test_a_tuner_that_keeps_failing_ends_the_tuning_job_with_the_reason(desk: Desk) -> None:
    desk.pool = FailingPool(1000)
    desk.put(new_tuning_job("hopeless"))
    desk.step(6)
    assert desk.job.status == "Failed"
    assert desk.job.failure is not None
    assert desk.job.failure.startswith("InternalServerError: no trial can be begun: no such sampl")


def test_a_stopped_tuning_job_begins_nothing_though_the_tuner_is_at_it(desk: Desk) -> None:
    desk.put(new_tuning_job("raced"))
    definitions = read_definitions(desk.job.request, seed=1)
    beginner = Beginner(desk.state, desk.job, definitions, began=lambda: None)
    desk.state.tuning_jobs.change("raced", lambda job: advance(job, Event.STOP_ASKED, 1))
    beginner.begin([], 2)
    assert desk.trials == []
    desk.step()
    assert desk.job.status == "Stopped"


def test_a_request_that_no_clary_reads_any_more_ends_the_tuning_job(desk: Desk) -> None:
    desk.put(new_tuning_job("outdated"))
    desk.step(2)
    request = {
        **desk.job.request,
        "HyperParameterTuningJobConfig": dict(
            desk.job.request["HyperParameterTuningJobConfig"], Strategy="Evolution"
        ),
    }
    desk.state.tuning_jobs.change("outdated", lambda job: replace(job, request=request))
    desk.put(new_tuning_job("outdated"))  # a new service
    desk.step(2)
    assert desk.job.phase == "Failing"
    assert all(trial.status == "Stopping" for trial in desk.trials)
    for number in (1, 2):
        desk.end(number, "Stopped")
    desk.step()
    assert desk.job.status == "Failed"
    assert "Evolution" in (desk.job.failure or "")
