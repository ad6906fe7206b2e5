"""Transform jobs whose service, server or worker is killed."""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
from pathlib import Path

import pytest

from tests.service.conftest import RunningService
from tests.service.transforms.conftest import (
    BUCKET,
    Bench,
    job_processes,
    parent_of,
    with_model,
)
from tests.waiting import until

ROUNDS = 3
ROWS = 20

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def begin(bench: Bench, name: str) -> None:
    bench.put(f"{name}/a.csv", "1,2\n" * ROWS)
    bench.create(
        name,
        f"s3://{BUCKET}/{name}/",
        Environment={"SLOWLY": "0.1", "SAGEMAKER_MODEL_SERVER_WORKERS": "1"},
        BatchStrategy="SingleRecord",
        MaxConcurrentTransforms=1,
    )


def test_a_service_killed_at_any_moment_loses_no_job_and_asks_nothing_twice(
    own_service: RunningService,
) -> None:
    bench = with_model(own_service)
    chance = random.Random(20261122)
    names = [f"kill-{number}" for number in range(ROUNDS)]
    # The earlier jobs are at work, or about to end, when the service is killed again.
    for name in names:
        begin(bench, name)
        time.sleep(chance.uniform(0, 4))
        own_service.kill()
        time.sleep(chance.uniform(0, 1))
        own_service.start(own_service.port)
    for name in names:
        job = bench.wait(name)
        assert job["TransformJobStatus"] == "Completed", (job, bench.log(name))
        assert bench.get(f"out/{name}/a.csv.out") == "6.0\n" * ROWS
        assert sum("batch True" in line for line in bench.log(name)) == ROWS
    await_no_processes(bench)


def test_a_worker_that_is_killed_is_replaced_and_asked_again(bench: Bench) -> None:
    begin(bench, "worker")
    bench.wait_for_work("worker")
    os.kill(asked_worker(bench, "worker", 1), signal.SIGKILL)
    job = bench.wait("worker")
    log = "\n".join(bench.log("worker"))
    assert job["TransformJobStatus"] == "Completed", (job.get("FailureReason"), log)
    assert bench.get("out/worker/a.csv.out") == "6.0\n" * ROWS


def test_a_host_that_is_killed_fails_the_job_and_leaves_nothing_behind(bench: Bench) -> None:
    begin(bench, "host")
    bench.wait_for_work("host")
    folder = bench.service.settings.transforms_dir / "host"
    (lock,) = folder.glob("hosts/*/.lock")
    os.kill(int(lock.read_text()), signal.SIGKILL)
    job = bench.wait("host")
    assert job["TransformJobStatus"] == "Failed"
    assert job["FailureReason"].startswith("InternalServerError: a process of the job is gone")
    assert bench.keys("out/host/") == []
    await_no_processes(bench)


def test_a_job_whose_folder_is_deleted_fails_and_leaves_nothing_behind(bench: Bench) -> None:
    begin(bench, "deleted")
    asked_worker(bench, "deleted", 1)
    folder = bench.service.settings.transforms_dir / "deleted"
    folder.rename(folder.with_name("elsewhere"))
    shutil.rmtree(folder.with_name("elsewhere"))
    job = bench.wait("deleted")
    assert job["TransformJobStatus"] == "Failed"
    assert f"{folder} was deleted or replaced while the job ran" in job["FailureReason"]
    assert bench.keys("out/deleted/") == []
    await_no_processes(bench)


def test_a_server_that_is_killed_is_started_again(bench: Bench) -> None:
    begin(bench, "server")
    worker = asked_worker(bench, "server", 1)
    (server,) = (pid for pid in siblings(worker) if pid != worker)
    os.kill(server, signal.SIGKILL)
    job = bench.wait("server")
    assert job["TransformJobStatus"] == "Completed", (job, bench.log("server"))
    assert bench.get("out/server/a.csv.out") == "6.0\n" * ROWS


def test_a_model_that_is_gone_for_good_fails_the_job(bench: Bench) -> None:
    begin(bench, "gone")
    os.kill(parent_of(asked_worker(bench, "gone", 1)), signal.SIGKILL)
    job = bench.wait("gone")
    assert job["TransformJobStatus"] == "Failed"
    assert "the model server has ended" in job["FailureReason"], job
    await_no_processes(bench)


def test_a_job_that_is_stopped_leaves_nothing_behind(bench: Bench) -> None:
    begin(bench, "stopped")
    asked_worker(bench, "stopped", 1)
    assert job_processes(bench.service)
    bench.sagemaker.stop_transform_job(TransformJobName="stopped")
    assert bench.wait("stopped")["TransformJobStatus"] == "Stopped"
    await_no_processes(bench)


def await_no_processes(bench: Bench) -> None:
    until(lambda: not job_processes(bench.service))


def asked_worker(bench: Bench, name: str, times: int) -> int:
    """The process that answered last, once so many requests were made."""

    def asked() -> list[str]:
        return [line for line in bench.log(name) if "batch True" in line]

    until(lambda: len(asked()) >= times, lambda: bench.log(name))
    return int(asked()[-1].split(" batch ")[0].split()[-1])


def siblings(pid: int) -> list[int]:
    """All children of a process's parent."""
    parent = parent_of(pid)
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text()
    return [int(word) for word in children.split()]
