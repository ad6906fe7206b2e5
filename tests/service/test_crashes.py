"""What is left after `kill -9`: every job in a legal state and run at most once, no half object.

`CLARY_CRASH_ROUNDS` sets how often each test kills; the moments are drawn from a seed.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import random
import signal
import tarfile
import threading
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from tests.service.conftest import RunningService
from tests.waiting import until

ROUNDS = int(os.environ.get("CLARY_CRASH_ROUNDS", "4"))
ROLE = "arn:aws:iam::000000000000:role/ClaryRole"
IMAGE = "763104351884.dkr.ecr.us-east-1.amazonaws.com/pytorch-training:2.0-cpu-py310"
TERMINAL = {"Completed", "Failed", "Stopped"}
# Appends to a file outside the job: how often a script really began and ended.
SCRIPT = """
import os, sys, time
mark = sys.argv[sys.argv.index("--mark") + 1]
name = os.environ["TRAINING_JOB_NAME"]
def note(word):
    with open(mark, "a") as file:
        file.write(f"{name} {word}\\n")
note("begins")
print("loss: 0.5", flush=True)
time.sleep(1.0)
with open(os.path.join(os.environ["SM_MODEL_DIR"], "model.bin"), "wb") as file:
    file.write(name.encode() * 1000)
note("ends")
"""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def put_code(service: RunningService) -> None:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:
        about = tarfile.TarInfo("train.py")
        about.size = len(SCRIPT)
        tar.addfile(about, io.BytesIO(SCRIPT.encode()))
    s3 = service.client("s3")
    s3.create_bucket(Bucket="crash")
    s3.put_object(Bucket="crash", Key="code/sourcedir.tar.gz", Body=archive.getvalue())


def create(service: RunningService, name: str, mark: Path) -> None:
    service.client("sagemaker").create_training_job(
        TrainingJobName=name,
        RoleArn=ROLE,
        AlgorithmSpecification={"TrainingImage": IMAGE, "TrainingInputMode": "File"},
        HyperParameters={
            "mark": json.dumps(str(mark)),
            "sagemaker_program": '"train.py"',
            "sagemaker_submit_directory": '"s3://crash/code/sourcedir.tar.gz"',
        },
        OutputDataConfig={"S3OutputPath": "s3://crash/output/"},
        ResourceConfig={"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
        StoppingCondition={"MaxRuntimeInSeconds": 300},
    )


def describe(service: RunningService, name: str) -> dict[str, Any]:
    return dict(service.client("sagemaker").describe_training_job(TrainingJobName=name))


def wait(service: RunningService, name: str) -> dict[str, Any]:
    def ended() -> dict[str, Any] | None:
        job = describe(service, name)
        return job if job["TrainingJobStatus"] in TERMINAL else None

    return until(ended, partial(describe, service, name), pause_s=0.2)


def marks(mark: Path, name: str) -> list[str]:
    lines = mark.read_text().splitlines() if mark.exists() else []
    return [line.split()[1] for line in lines if line.split()[0] == name]


def job_processes(service: RunningService, name: str) -> list[int]:
    """The processes whose environment says that they are the job's, in this home."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            variables = (folder / "environ").read_bytes().split(b"\0")
            command = (folder / "cmdline").read_bytes()
        except OSError:
            continue
        own = str(service.home).encode()
        named = f"TRAINING_JOB_NAME={name}".encode() in variables
        if named or (own in command and name.encode() in command):
            found.append(int(folder.name))
    return found


def test_a_service_killed_at_any_moment_loses_no_job_and_runs_none_twice(
    own_service: RunningService, tmp_path: Path
) -> None:
    put_code(own_service)
    mark = tmp_path / "marks"
    chance = random.Random(20261121)
    for number in range(ROUNDS):
        names = [f"kill-{number}-{index}" for index in range(2)]
        for name in names:
            create(own_service, name, mark)
        time.sleep(chance.uniform(0, 2.5))
        own_service.kill()
        time.sleep(chance.uniform(0, 1.5))
        own_service.restart()
        for name in names:
            job = wait(own_service, name)
            assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
            assert marks(mark, name) == ["begins", "ends"]
            key = f"output/{name}/output/model.tar.gz"
            body = own_service.client("s3").get_object(Bucket="crash", Key=key)["Body"].read()
            with tarfile.open(fileobj=io.BytesIO(body)) as tar:
                assert tar.extractfile("model.bin").read() == name.encode() * 1000


def test_a_create_that_is_cut_off_made_the_job_or_did_not(
    own_service: RunningService, tmp_path: Path
) -> None:
    put_code(own_service)
    mark = tmp_path / "marks"
    chance = random.Random(7)
    for number in range(ROUNDS):
        answered: list[str] = []

        def send(number: int = number, answered: list[str] = answered) -> None:
            for index in range(50):
                name = f"cut-{number}-{index}"
                try:
                    create(own_service, name, mark)
                    answered.append(name)
                    own_service.client("sagemaker").stop_training_job(TrainingJobName=name)
                except (BotoCoreError, ClientError):
                    return

        sender = threading.Thread(target=send)
        sender.start()
        time.sleep(chance.uniform(0.1, 0.8))
        own_service.kill()
        sender.join(60)
        own_service.restart()
        for name in answered:
            assert wait(own_service, name)["TrainingJobStatus"] in TERMINAL
            assert marks(mark, name).count("begins") <= 1


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="finds the job's processes in /proc")
@pytest.mark.parametrize("both", [False, True], ids=["the job", "the job and the service"])
def test_a_killed_job_fails_with_the_reason(
    own_service: RunningService, tmp_path: Path, both: bool
) -> None:
    put_code(own_service)
    mark = tmp_path / "marks"
    # The moment is the same each time.
    for number in range(max(1, ROUNDS // 2)):
        name = f"shot-{number}"
        create(own_service, name, mark)
        until(lambda name=name: "begins" in marks(mark, name))
        if both:
            own_service.kill()
        victims = job_processes(own_service, name)
        assert victims
        for victim in victims:
            try:
                os.kill(victim, signal.SIGKILL)
            except ProcessLookupError:
                continue
        if both:
            own_service.restart()
        job = wait(own_service, name)
        assert job["TrainingJobStatus"] == "Failed"
        assert job["FailureReason"]
        assert marks(mark, name) == ["begins"]


def test_no_half_object_is_served_after_a_kill(own_service: RunningService) -> None:
    own_service.client("s3").create_bucket(Bucket="halves")
    chance = random.Random(3)
    for number in range(ROUNDS):
        acknowledged: dict[str, str] = {}

        def send(number: int = number, acknowledged: dict[str, str] = acknowledged) -> None:
            client = own_service.client("s3")
            for index in range(10_000):
                size = 200_000 + index * 1000
                body = hashlib.sha256(b"%d %d" % (number, index)).digest() * (size // 32)
                key = f"{number}/{index % 20}"
                try:
                    client.put_object(Bucket="halves", Key=key, Body=body)
                except (BotoCoreError, ClientError):
                    return
                acknowledged[key] = hashlib.md5(body).hexdigest()

        sender = threading.Thread(target=send)
        sender.start()
        time.sleep(chance.uniform(0.2, 1.0))
        own_service.kill()
        sender.join(60)
        own_service.restart()
        client = own_service.client("s3")
        listed = client.list_objects_v2(Bucket="halves", Prefix=f"{number}/").get("Contents", [])
        assert {entry["Key"] for entry in listed} >= set(acknowledged)
        newer = 0
        for entry in listed:
            got = client.get_object(Bucket="halves", Key=entry["Key"])
            body = got["Body"].read()
            digest = hashlib.md5(body).hexdigest()
            assert got["ETag"].strip('"') == digest
            assert len(body) % 32 == 0
            assert body == body[:32] * (len(body) // 32)  # one whole version, no mixture
            newer += acknowledged.get(entry["Key"]) != digest
        assert newer <= 1  # the one that was cut off before its answer
