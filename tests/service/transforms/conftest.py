"""A service with a model of somebody's own, which adds up the columns of rows."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import pytest

from tests.service.conftest import RunningService
from tests.waiting import until

BUCKET = "batch"
IMAGE = "763104351884.dkr.ecr.us-east-1.amazonaws.com/pytorch-inference:2.2-cpu-py310"
ROLE = "arn:aws:iam::000000000000:role/ClaryRole"
MODEL = "adder"
HANDLERS = """
import json
import os
import time


def model_fn(model_dir):
    with open(os.path.join(model_dir, "factor.txt")) as file:
        return float(file.read())


def transform_fn(model, body, content_type, accept):
    time.sleep(float(os.environ.get("SLOWLY", 0)))
    told = os.environ["SAGEMAKER_BATCH"], os.environ["SAGEMAKER_BATCH_STRATEGY"]
    print(os.getpid(), "batch", *told)
    text = body.decode() if isinstance(body, bytes) else body
    if content_type == "application/json":
        values = [json.loads(line) for line in text.splitlines()]
        answers = [json.dumps({"sum": sum(value) * model}) for value in values]
        return "\\n".join(answers), "application/json"
    rows = [line.split(",") for line in text.splitlines()]
    return "\\n".join(str(sum(map(float, row)) * model) for row in rows), "text/csv"
"""


@dataclass
class Bench:
    """Objects in, jobs run, outputs back."""

    service: RunningService

    @cached_property
    def sagemaker(self) -> Any:
        return self.service.client("sagemaker")

    @cached_property
    def s3(self) -> Any:
        return self.service.client("s3")

    @cached_property
    def logs(self) -> Any:
        return self.service.client("logs")

    def put(self, key: str, content: bytes | str) -> str:
        data = content.encode() if isinstance(content, str) else content
        self.s3.put_object(Bucket=BUCKET, Key=key, Body=data)
        return f"s3://{BUCKET}/{key}"

    def get(self, key: str) -> str:
        body: bytes = self.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()
        return body.decode()

    def keys(self, prefix: str) -> list[str]:
        listed = self.s3.list_objects_v2(Bucket=BUCKET, Prefix=prefix)
        return [one["Key"] for one in listed.get("Contents", ())]

    def add_model(self, name: str = MODEL, handlers: str = HANDLERS) -> None:
        archive = pack({"factor.txt": "2", "code/inference.py": handlers})
        uri = self.put(f"models/{name}/model.tar.gz", archive)
        self.sagemaker.create_model(
            ModelName=name,
            ExecutionRoleArn=ROLE,
            PrimaryContainer={
                "Image": IMAGE,
                "ModelDataUrl": uri,
                "Environment": {"SAGEMAKER_PROGRAM": "inference.py"},
            },
        )

    def create(self, name: str, source: str, **changes: Any) -> None:
        """Create a job; what begins with `input_` or `output_` goes into those structures."""
        given = {
            "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": source}},
            "ContentType": "text/csv",
            "SplitType": "Line",
        }
        output = {"S3OutputPath": f"s3://{BUCKET}/out/{name}/", "AssembleWith": "Line"}
        request = {
            "TransformJobName": name,
            "ModelName": MODEL,
            "TransformInput": {**given, **changes.pop("input", {})},
            "TransformOutput": {**output, **changes.pop("output", {})},
            "TransformResources": {"InstanceType": "ml.m5.large", "InstanceCount": 1},
            **changes,
        }
        self.sagemaker.create_transform_job(**request)

    def wait(self, name: str, *statuses: str) -> Mapping[str, Any]:
        """The job, once it is in one of some statuses, or has ended."""
        wanted = statuses or ("Completed", "Failed", "Stopped")

        def reached() -> Mapping[str, Any] | None:
            job: Mapping[str, Any] = self.sagemaker.describe_transform_job(TransformJobName=name)
            return job if job["TransformJobStatus"] in wanted else None

        return until(reached, partial(self.log, name), pause_s=0.1)

    def wait_for_work(self, name: str) -> None:
        """Wait until the job's model is asked."""
        log = partial(self.log, name)
        until(lambda: any("BatchStrategy" in line for line in log()), log, pause_s=0.1)

    def run(self, name: str, source: str, **changes: Any) -> Mapping[str, Any]:
        self.create(name, source, **changes)
        return self.wait(name)

    def log(self, name: str) -> list[str]:
        logs = self.logs
        group = "/aws/sagemaker/TransformJobs"
        try:
            found = logs.filter_log_events(logGroupName=group, logStreamNamePrefix=f"{name}/")
        except logs.exceptions.ResourceNotFoundException:
            return []
        return [event["message"] for event in found["events"]]


def job_processes(service: RunningService) -> list[int]:
    """All processes of jobs of a service: forks of its warm parent show what that was given."""
    home = f"CLARY_HOME={service.home}".encode()
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        pid = int(process.name)
        try:
            ours = home in (process / "environ").read_bytes().split(b"\0")
            if ours and pid != service.pid and not _is_warm_parent(pid, service):
                found.append(pid)
        except OSError:
            continue
    return found


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def _is_warm_parent(pid: int, service: RunningService) -> bool:
    command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    return b"clary.jobs.warm_parent" in command and parent_of(pid) == service.pid


def pack(files: Mapping[str, str]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, text in files.items():
            about = tarfile.TarInfo(name)
            about.size = len(text.encode())
            tar.addfile(about, io.BytesIO(text.encode()))
    return buffer.getvalue()


def with_model(service: RunningService) -> Bench:
    bench = Bench(service)
    bench.s3.create_bucket(Bucket=BUCKET)
    bench.add_model()
    return bench


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """A service that loads torch once, not for each of the jobs."""
    home = tmp_path_factory.mktemp("batch") / "home"
    running = RunningService(home, {"CLARY_WARM": "1"})
    running.start()
    try:
        yield with_model(running)
    finally:
        running.stop()
