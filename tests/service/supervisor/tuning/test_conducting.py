"""A tuning job's steps on hosts in memory: limits, clocks, curves and a tuner that fails."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator
from concurrent.futures import Executor as Pool
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from clary.formats.log_file import encode_events
from clary.service.executors.executor import HostLog
from clary.service.state.metric_data import Metric
from clary.service.state.state import State
from clary.service.state.training_jobs import FinalMetric, TrainingJob
from clary.service.state.tuning_jobs import TuningJob
from clary.service.supervisor.log_following import METRIC_NAMESPACE, LogFollower
from clary.service.supervisor.timing import Timing
from clary.service.supervisor.transitions import STOPPING, TRAINING, UPLOADING, state_of
from clary.service.supervisor.tuning.beginning import Beginner
from clary.service.supervisor.tuning.definitions import read_definitions
from clary.service.supervisor.tuning.observing import SeenTrial, TrialObserver
from clary.service.supervisor.tuning.rounds import TuningRounds
from clary.service.supervisor.tuning.transitions import Event, advance
from tests.service.supervisor.killed_rounds import InlinePool
from tests.service.supervisor.tuning.conftest import new_tuning_job, training_definition


class Desk:
    """One tuning job, moved by hand: no supervisor, no hosts."""

    def __init__(self, folder: Path, timing: Timing, pool: Pool) -> None:
        self.folder = folder
        self.state = State(folder / "state.sqlite")
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
        """End a trial; a value is its objective, else what it has logged."""
        if value is not None:
            changes["final_metrics"] = {"loss": FinalMetric(value, 1)}
        self.change(number, status=status, secondary=status, **changes)

    def emit(self, number: int, *values: float, hosts: int = 1) -> None:
        """Let each host log values, all in the same millisecond, and the service read them."""
        job = self.trials[number - 1]
        logs = []
        for host in range(1, hosts + 1):
            path = self.folder / f"{job.name}-{host}.log"
            with path.open("ab") as file:
                file.write(encode_events([(1, f"loss={value}") for value in values]))
            logs.append(HostLog(f"{job.name}/algo-{host}-1764757000", path))
        assert LogFollower(self.state, job).follow(logs, lambda: False)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path, Timing(retry_s=0.0, unseen_s=0.0), InlinePool())
    yield desk
    desk.state.close()


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


def test_hosts_that_say_the_same_make_one_curve(desk: Desk) -> None:
    desk.put(new_tuning_job("hosts", trials=6, parallel=6, TrainingJobEarlyStoppingType="Auto"))
    desk.step(2)
    for number in range(1, 5):
        desk.emit(number, 0.5, 0.4, 0.3, 0.2, hosts=2)
        desk.end(number, "Completed")
    desk.train(5)
    for _ in range(2):
        desk.emit(5, 0.9, hosts=2)
        desk.step()
        # Nobody is judged in the first two epochs.
        assert state_of(desk.trials[4]) == TRAINING
    desk.emit(5, 0.9, hosts=2)
    desk.step()
    assert state_of(desk.trials[4]) == STOPPING


def test_a_trial_that_diverges_is_stopped_early_and_has_no_objective(desk: Desk) -> None:
    training = training_definition()
    training["AlgorithmSpecification"]["MetricDefinitions"] = [
        {"Name": "loss", "Regex": r"loss=(\S+)"}
    ]
    job = new_tuning_job("diverging", trials=6, parallel=6, TrainingJobEarlyStoppingType="Auto")
    job.request["TrainingJobDefinition"].update(training)  # type: ignore[attr-defined]
    desk.put(job)
    desk.step(2)
    for number in range(1, 5):
        desk.emit(number, 0.5, 0.4, 0.3, 0.2)
        desk.end(number, "Completed")
    for number in (5, 6):
        desk.train(number)
        desk.emit(number, 0.1, math.nan)
    desk.step()
    desk.emit(5, math.inf)
    desk.emit(6, 0.01)
    desk.step()
    assert state_of(desk.trials[4]) == STOPPING
    assert state_of(desk.trials[5]) == TRAINING
    for number in (5, 6):
        desk.end(number, "Stopped")
    seen = TrialObserver(
        desk.state, desk.job.number, read_definitions(desk.job.request, 1), curves=True
    ).look()
    assert [(one.trial.state, one.trial.value) for one in seen[4:]] == [
        ("failed", None),
        ("succeeded", 0.01),
    ]
    assert [math.isnan(value) for value in seen[4].trial.curve] == [False, True, True]
    # What CloudWatch keeps is finite.
    metric = Metric(METRIC_NAMESPACE, "loss", {"TrainingJobName": desk.trials[4].name})
    assert [datum.sum for datum in desk.state.metrics.values(metric, 0, 100)] == [0.1]
    assert desk.trials[4].final_metrics == {"loss": FinalMetric(0.1, 1, diverged=True)}


class LatePool(InlinePool):
    """Begins trials when it is told to, as a busy pool does."""

    def __init__(self) -> None:
        self.tasks: list[Callable[[], Any]] = []

    def submit(self, task: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self.tasks.append(lambda: future.set_result(task(*args, **kwargs)))
        return future

    def work(self) -> None:
        while self.tasks:
            self.tasks.pop(0)()


def test_the_last_combination_is_tried_though_it_is_begun_during_a_look(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    kinds = {"CategoricalParameterRanges": [{"Name": "kind", "Values": ["a", "b", "c"]}]}
    pool = desk.pool = LatePool()
    desk.put(new_tuning_job("combinations", trials=9, parallel=2, ParameterRanges=kinds))
    desk.step()
    pool.work()
    for number in (1, 2):
        desk.end(number, "Completed", 0.5)
    desk.step(2)
    assert len(pool.tasks) == 1
    look = TrialObserver.look

    def look_and_work(observer: TrialObserver) -> list[SeenTrial]:
        seen = look(observer)
        pool.work()
        return seen

    monkeypatch.setattr(TrialObserver, "look", look_and_work)
    desk.step()
    assert len(desk.trials) == 3
    assert desk.job.phase == "Searching"
    desk.step(2)
    assert desk.job.phase == "Searching"
    desk.end(3, "Completed", 0.4)
    desk.step(2)
    assert desk.job.status == "Completed"
    assert desk.job.completion is not None
    assert desk.job.completion.reason == "exhausted"


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
