"""A real supervisor on a real database, over hosts in memory."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from clary.errors import DataError, StorageError
from clary.formats.job_directory import JobDirectory
from clary.service.executors.executor import TrainingJobSpec
from clary.service.state.metric_data import Metric
from clary.service.state.state import State
from clary.service.supervisor.supervisor import WAITER_LIMIT
from clary.service.supervisor.timing import Timing
from clary.settings import Settings
from tests.service.supervisor.conftest import (
    QUICK,
    Supervise,
    eventually,
    new_job,
    reach,
    submit,
)
from tests.service.supervisor.memory_executor import MemoryExecutor
from tests.waiting import NEVER_S, PATIENCE_S, until


def test_a_job_goes_from_its_creation_to_its_model(
    supervise: Supervise, state: State, executor: MemoryExecutor
) -> None:
    supervisor = supervise()
    submit(supervisor, state, new_job("good"))
    reach(supervisor, "good", "Training")
    executor.end("good")
    job = reach(supervisor, "good", "Completed")
    assert [one.status for one in job.transitions] == [
        "Starting",
        "Downloading",
        "Training",
        "Uploading",
        "Completed",
    ]
    assert job.model_artifacts == "s3://bucket/good/output/model.tar.gz"
    assert job.failure is None
    assert executor.of("good").launches == 1


def test_failures_are_told_wherever_they_happen(
    supervise: Supervise, state: State, executor: MemoryExecutor
) -> None:
    executor.prepares["unfetched"] = DataError("ClientError: No S3 objects found")
    executor.refuse_launch.add("unlaunched")
    executor.collects["unpacked"] = StorageError("the disk is full")
    supervisor = supervise()
    for name in ("unfetched", "unlaunched", "unpacked", "gone", "raised"):
        submit(supervisor, state, new_job(name))
        if name in {"unpacked", "gone", "raised"}:
            reach(supervisor, name, "Training")
        if name == "unpacked":
            executor.end(name)
        elif name == "gone":
            executor.vanish(name)
        elif name == "raised":
            executor.end(name, 1, 'AlgorithmError: ErrorMessage "no such file"')
        reach(supervisor, name, "Failed")
    failures = {job.name: job.failure for job in state.training_jobs.select()}
    assert failures == {
        "unfetched": "ClientError: No S3 objects found",
        "unlaunched": "InternalServerError: no process can be started: free some memory",
        "unpacked": "InternalServerError: the disk is full",
        "gone": "AlgorithmError: the host process was killed",
        "raised": 'AlgorithmError: ErrorMessage "no such file"',
    }


def test_a_bug_in_an_executor_fails_the_job_and_nothing_else(
    supervise: Supervise, state: State, executor: MemoryExecutor
) -> None:
    def break_look(method: str) -> None:
        if method == "look":
            raise RuntimeError("broken")

    executor.before = break_look
    supervisor = supervise()
    submit(supervisor, state, new_job("unlucky"))
    job = reach(supervisor, "unlucky", "Failed")
    assert job.failure == "InternalServerError: RuntimeError: broken. `clary logs` shows where."
    assert executor.of("unlucky").signals[0] == "KILL"
    executor.before = lambda method: None
    submit(supervisor, state, new_job("lucky"))
    reach(supervisor, "lucky", "Training")


def test_more_jobs_than_fit_wait_and_say_so(
    supervise: Supervise, state: State, executor: MemoryExecutor
) -> None:
    supervisor = supervise()
    for name in ("first", "second", "third"):
        submit(supervisor, state, new_job(name))
    waiting = reach(supervisor, "third", "Pending")
    assert waiting.message == "Waiting for room: 2 training jobs run, CLARY_MAX_JOBS is 2"
    reach(supervisor, "first", "Training")
    executor.end("first")
    reach(supervisor, "third", "Training")


@pytest.mark.parametrize("heeds", [True, False])
def test_a_stop_terminates_and_kills_after_the_grace(
    supervise: Supervise, state: State, executor: MemoryExecutor, heeds: bool
) -> None:
    supervisor = supervise()
    executor.of("stopped").heeds_sigterm = heeds
    submit(supervisor, state, new_job("stopped"))
    reach(supervisor, "stopped", "Training")
    asked = time.monotonic()
    assert supervisor.stop_job("stopped")
    assert not supervisor.stop_job("stopped")
    job = reach(supervisor, "stopped", "Stopped")
    assert executor.of("stopped").signals == (["TERM"] if heeds else ["TERM", "KILL"])
    assert heeds or time.monotonic() - asked > QUICK.grace_s
    assert job.failure is None
    assert job.model_artifacts is not None
    assert [one.status for one in job.transitions][-3:] == ["Stopping", "Uploading", "Stopped"]


def test_a_stop_before_the_launch_launches_nothing(
    supervise: Supervise, state: State, executor: MemoryExecutor
) -> None:
    executor.hold_prepare.clear()
    supervisor = supervise()
    submit(supervisor, state, new_job("early"))
    reach(supervisor, "early", "Downloading")
    supervisor.stop_job("early")
    executor.hold_prepare.set()
    reach(supervisor, "early", "Stopped")
    assert executor.of("early").launches == 0


def test_limits_of_the_stopping_condition(
    supervise: Supervise, state: State, executor: MemoryExecutor
) -> None:
    supervisor = supervise()
    submit(supervisor, state, new_job("long", StoppingCondition={"MaxRuntimeInSeconds": 1}))
    spot = {"MaxRuntimeInSeconds": 1, "MaxWaitTimeInSeconds": 1}
    submit(
        supervisor,
        state,
        new_job("spot", StoppingCondition=spot, EnableManagedSpotTraining=True),
    )
    submit(supervisor, state, new_job("queued", StoppingCondition={"MaxPendingTimeInSeconds": 1}))
    assert reach(supervisor, "long", "Stopped").secondary == "MaxRuntimeExceeded"
    assert reach(supervisor, "spot", "Stopped").secondary == "MaxWaitTimeExceeded"
    # A place is free by now or its time is over, whichever the supervisor saw first.
    assert reach(supervisor, "queued", "Stopped", "Training").name == "queued"


def test_metrics_are_found_in_the_log_across_a_restart(
    supervise: Supervise, state: State, settings: Settings, executor: MemoryExecutor
) -> None:
    definitions = [
        {"Name": "loss", "Regex": r"loss=([0-9.]+|nan)"},
        {"Name": "accuracy", "Regex": r"accuracy: (\S+)"},
        {"Name": "endless", "Regex": r"(a|aa|a?)+([0-9])"},
    ]
    specification = {"TrainingInputMode": "File", "MetricDefinitions": definitions}
    job = new_job("measured", AlgorithmSpecification=specification)
    directory = JobDirectory(settings.jobs_dir / job.name)
    spec = TrainingJobSpec(job.name, job.arn, job.request, directory, {})
    first = supervise()
    submit(first, state, job)
    reach(first, "measured", "Training")
    executor.write_log(spec, (60_000, "loss=0.5 accuracy: 0.1"), (60_500, "loss=nan"))
    eventually(state, "measured", lambda job: bool(job.final_metrics))
    first.close()
    executor.write_log(spec, (61_000, "loss=0.25"), (62_000, "a" * 5000 + "!"), (63_000, "bye"))
    second = supervise()
    executor.end("measured")
    done = reach(second, "measured", "Completed")
    assert {name: metric.value for name, metric in done.final_metrics.items()} == {
        "loss": 0.25,
        "accuracy": 0.1,
    }
    metric = Metric("/aws/sagemaker/TrainingJobs", "loss", {"TrainingJobName": "measured"})
    assert [datum.sum for datum in state.metrics.values(metric, 0, 100_000)] == [0.5, 0.25]
    assert len(state.logs.streams("/aws/sagemaker/TrainingJobs", "measured/")) == 1


def test_a_deleted_job_leaves_nothing(
    supervise: Supervise, state: State, executor: MemoryExecutor
) -> None:
    supervisor = supervise()
    job = new_job("old")
    state.create_training_job(job, {"team": "vision"})
    supervisor.submit("old")
    reach(supervisor, "old", "Training")
    assert not supervisor.delete_job("old")
    executor.end("old")
    reach(supervisor, "old", "Completed")
    assert supervisor.delete_job("old")
    assert supervisor.wait_until("old", lambda job: False, PATIENCE_S) is None
    assert executor.discarded == ["old"]
    assert state.tags.of(job.arn) == {}


def test_waiting_ends_with_the_change_with_the_time_or_with_the_service(
    supervise: Supervise, state: State, executor: MemoryExecutor
) -> None:
    supervisor = supervise()
    submit(supervisor, state, new_job("watched"))
    reach(supervisor, "watched", "Training")
    begun = time.monotonic()
    assert supervisor.wait_for_change("watched", 0.1) is not None
    assert 0.1 <= time.monotonic() - begun < PATIENCE_S
    with ThreadPoolExecutor() as pool:
        threading.Timer(0.1, executor.end, ["watched"]).start()
        changed = pool.submit(supervisor.wait_for_change, "watched", NEVER_S).result(PATIENCE_S)
        assert changed is not None
        assert changed.secondary != "Training"
        reach(supervisor, "watched", "Completed")
        waiting = pool.submit(supervisor.wait_until, "watched", lambda job: False, NEVER_S)
        supervisor.release()
        assert waiting.result(PATIENCE_S) is not None


def test_callers_beyond_the_limit_do_not_wait(
    supervise: Supervise, state: State, executor: MemoryExecutor
) -> None:
    supervisor = supervise()
    submit(supervisor, state, new_job("crowded"))
    reach(supervisor, "crowded", "Training")
    with ThreadPoolExecutor(WAITER_LIMIT) as pool:
        held = [
            pool.submit(supervisor.wait_until, "crowded", lambda job: not job.active, NEVER_S)
            for _ in range(WAITER_LIMIT)
        ]
        time.sleep(0.5)
        begun = time.monotonic()
        assert supervisor.wait_until("crowded", lambda job: not job.active, NEVER_S) is not None
        assert time.monotonic() - begun < PATIENCE_S
        executor.end("crowded")
        ended = [future.result(PATIENCE_S) for future in held]
    assert {job.status for job in ended if job is not None} == {"Completed"}


def cpu_s_of(seconds: float) -> float:
    """The CPU time that this process takes while its tests wait."""
    before = time.process_time()
    time.sleep(seconds)
    return time.process_time() - before


def test_many_queued_jobs_cost_little(
    supervise: Supervise, state: State, executor: MemoryExecutor
) -> None:
    supervisor = supervise(Timing())
    for number in range(200):
        submit(supervisor, state, new_job(f"queued-{number}"))
    reach(supervisor, "queued-199", "Pending")
    until(lambda: cpu_s_of(2.0) < 1.0)
    assert len(state.training_jobs.summaries(["InProgress"])) == 200


def test_an_idle_supervisor_does_not_look_at_the_clock(supervise: Supervise) -> None:
    supervisor = supervise(Timing())
    until(lambda: cpu_s_of(0.5) < 0.1)
    assert supervisor.wait_for_change("nobody", 1) is None
