"""A real supervisor whose machine fails it, or is too small."""

from __future__ import annotations

import errno
import os
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from clary.errors import ClaryError, DataError, StorageError
from clary.formats.files import storage_errors
from clary.formats.job_directory import JobDirectory
from clary.formats.log_file import encode_events
from clary.service.state.state import State
from clary.settings import Settings
from tests.service.supervisor.conftest import QUICK, Supervise, new_job, reach, submit
from tests.service.supervisor.memory_executor import MemoryExecutor
from tests.waiting import NEVER_S


def test_hosts_that_are_left_of_a_failed_launch_are_killed(
    supervise: Supervise, state: State, executor: MemoryExecutor
) -> None:
    executor.refuse_launch.add("halfway")
    supervisor = supervise()
    submit(supervisor, state, new_job("halfway"))
    reach(supervisor, "halfway", "Failed")
    assert executor.of("halfway").signals == ["KILL"]


@pytest.mark.parametrize("passing", [OSError(24, "Too many open files"), StorageError("no file")])
def test_a_job_outlives_a_machine_that_cannot_look_for_a_while(
    supervise: Supervise, state: State, executor: MemoryExecutor, passing: Exception
) -> None:
    supervisor = supervise(replace(QUICK, unseen_s=3))
    submit(supervisor, state, new_job("unseen"))
    reach(supervisor, "unseen", "Training")

    def break_look(method: str) -> None:
        if method == "look":
            raise passing

    executor.before = break_look
    time.sleep(0.3)
    executor.before = lambda method: None
    time.sleep(0.1)
    assert reach(supervisor, "unseen", "Training").failure is None
    assert executor.of("unseen").signals == []
    executor.before = break_look
    job = reach(supervisor, "unseen", "Failed")
    assert job.failure is not None
    assert executor.of("unseen").signals[0] == "KILL"


def raised(number: int) -> ClaryError:
    """What is made of the system's answer to writing a file."""
    with pytest.raises(StorageError) as caught, storage_errors(Path("/elsewhere/model.tar.gz")):
        raise OSError(number, os.strerror(number))
    return caught.value


def refused(number: int) -> ClaryError:
    """What is made of the system's answer to starting a program."""
    error = ClaryError("no process can be started")
    error.__cause__ = OSError(number, os.strerror(number))
    return error


@pytest.mark.parametrize(
    ("error", "blamed"),
    [
        (raised(errno.EMFILE), "InternalServerError"),
        (raised(errno.ENOSPC), "InternalServerError"),
        (refused(errno.EAGAIN), "InternalServerError"),
        (StorageError("the database is locked"), "InternalServerError"),
        # Folders that the request names.
        (raised(errno.EACCES), "ClientError"),
        (raised(errno.ENOTDIR), "ClientError"),
        (refused(errno.ENOENT), "ClientError"),
        (DataError("no picture under s3://bucket/empty"), "ClientError"),
    ],
    ids=str,
)
def test_what_the_machine_lacks_is_not_laid_to_the_request(
    supervise: Supervise,
    state: State,
    executor: MemoryExecutor,
    error: ClaryError,
    blamed: str,
) -> None:
    executor.prepares["any"] = error
    supervisor = supervise()
    submit(supervisor, state, new_job("any"))
    assert reach(supervisor, "any", "Failed").failure == f"{blamed}: {error}"


def test_a_signal_that_fails_is_sent_again(
    supervise: Supervise, state: State, executor: MemoryExecutor
) -> None:
    supervisor = supervise(replace(QUICK, grace_s=60))
    submit(supervisor, state, new_job("deaf"))
    reach(supervisor, "deaf", "Training")
    failures = iter([OSError("no"), OSError("no")])

    def break_terminate(method: str) -> None:
        if method == "terminate" and (failure := next(failures, None)):
            raise failure

    executor.before = break_terminate
    supervisor.stop_job("deaf")
    reach(supervisor, "deaf", "Stopped")
    assert executor.of("deaf").signals == ["TERM"]


def test_the_end_of_a_log_is_read_again_when_that_fails_and_holds_up_nothing(
    supervise: Supervise, state: State, settings: Settings, executor: MemoryExecutor
) -> None:
    definitions = [{"Name": "loss", "Regex": r"loss=(\S+)"}]
    specification = {"TrainingInputMode": "File", "MetricDefinitions": definitions}
    supervisor = supervise(replace(QUICK, follow_s=NEVER_S, last_read_s=1))
    failures = iter([StorageError("the database is locked")] * 3)

    def break_logs() -> None:
        if failure := next(failures, None):
            raise failure

    go_on = threading.Event()

    def hold() -> None:
        go_on.wait(NEVER_S)

    for name in ("retried", "held"):
        job = new_job(name, AlgorithmSpecification=specification)
        submit(supervisor, state, job)
        reach(supervisor, name, "Training")
        time.sleep(0.1)
        executor.before_logs = break_logs if name == "retried" else hold
        path = JobDirectory(settings.jobs_dir / name).root / "logs" / "algo-1.log"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode_events([(60_000, "loss=0.5")]))
        executor.end(name)
        done = reach(supervisor, name, "Completed")
        if name == "retried":
            assert done.final_metrics["loss"].value == 0.5
    go_on.set()


def test_a_job_whose_steps_fail_slows_no_other(
    supervise: Supervise, state: State, executor: MemoryExecutor
) -> None:
    supervisor = supervise(replace(QUICK, retry_s=NEVER_S))
    submit(supervisor, state, new_job("ill"))
    reach(supervisor, "ill", "Training")

    def break_terminate(method: str) -> None:
        if method == "terminate":
            raise RuntimeError("broken")

    executor.before = break_terminate
    supervisor.stop_job("ill")
    time.sleep(0.1)
    submit(supervisor, state, new_job("well"))
    reach(supervisor, "well", "Training")
    executor.end("well")
    reach(supervisor, "well", "Completed")


def test_a_job_that_has_waited_long_is_not_overtaken(
    supervise: Supervise, state: State, executor: MemoryExecutor
) -> None:
    supervisor = supervise(replace(QUICK, turn_s=0.5))
    submit(supervisor, state, new_job("running"))
    reach(supervisor, "running", "Training")
    many = {"InstanceType": "ml.m5.xlarge", "InstanceCount": 10_000}
    submit(supervisor, state, new_job("large", ResourceConfig=many))
    waiting = reach(supervisor, "large", "Pending")
    assert waiting.message == "Waiting for memory: the job wants 6000000 MB, and less is free"
    time.sleep(0.3)
    assert state.training_jobs.find("large") == waiting
    time.sleep(0.3)
    submit(supervisor, state, new_job("small"))
    behind = reach(supervisor, "small", "Pending")
    assert behind.message == "Waiting for memory: large has waited longer, it is next"
    executor.end("running")
    reach(supervisor, "large", "Training")
