"""How long a training job takes to reach its user's first line, and a client to return from fit().

Starts a service in a folder of its own, waits until the warm parent is ready, and creates one job
after another whose script prints the time at its first line. Prints the median and the spread of
CreateTrainingJob → first line. With `--sdk PYTHON`, an interpreter that has the SageMaker SDK v2,
also times `PyTorch(...).fit(wait=True)` of a script that runs for two seconds.

    python benchmarks/service_latency.py [--quick] [--jobs 20] [--sdk PYTHON]
"""

from __future__ import annotations

import argparse
import datetime
import io
import os
import platform
import re
import socket
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path
from typing import Any

from measuring import Spread
from rows import Rows, add_rows_option

BUCKET = "latency"
FIRST_LINE_GOAL_S, FIT_GOAL_S = 0.5, 12.0
ROLE = "arn:aws:iam::000000000000:role/ClaryRole"
IMAGE = "763104351884.dkr.ecr.us-east-1.amazonaws.com/pytorch-training:2.0-cpu-py310"
FIRST_LINE = "import time; print('first line at', time.time(), flush=True)\nimport torch\n"
TWO_SECONDS = "import time\ntime.sleep(2)\nprint('done')\n"
FIT = """
import sys, time
import sagemaker
from sagemaker.pytorch import PyTorch
folder, rounds = sys.argv[1], int(sys.argv[2])
role = sagemaker.get_execution_role()
for _ in range(rounds):
    estimator = PyTorch(entry_point="two_seconds.py", source_dir=folder, role=role,
        framework_version="2.0", py_version="py310", instance_count=1,
        instance_type="ml.m5.large")
    began = time.monotonic()
    estimator.fit(wait=True)
    print("fit took", time.monotonic() - began, flush=True)
"""


def clary(home: Path, *words: str) -> str:
    """Run a command of Clary's in `home` and return what it printed."""
    return subprocess.run(
        [sys.executable, "-m", "clary", *words],
        env={**os.environ, "CLARY_HOME": str(home)},
        check=True,
        capture_output=True,
        text=True,
    ).stdout


def first_lines(home: Path, jobs: int) -> list[float]:
    """Seconds from sending CreateTrainingJob to the first line of user code, for each job."""
    import boto3

    exports = re.findall(r"export (\w+)='?([^'\n;]*)'?", clary(home, "env", "--shell", "bash"))
    os.environ.update(dict(exports))
    s3, sagemaker, logs = (boto3.client(name) for name in ("s3", "sagemaker", "logs"))
    s3.create_bucket(Bucket=BUCKET)
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:
        about = tarfile.TarInfo("first_line.py")
        about.size = len(FIRST_LINE)
        tar.addfile(about, io.BytesIO(FIRST_LINE.encode()))
    s3.put_object(Bucket=BUCKET, Key="code.tar.gz", Body=archive.getvalue())
    seconds = []
    for number in range(jobs):
        name = f"first-line-{number}"
        began = time.time()
        sagemaker.create_training_job(**_request(name))
        _wait(sagemaker, name)
        streams = logs.describe_log_streams(
            logGroupName="/aws/sagemaker/TrainingJobs", logStreamNamePrefix=f"{name}/"
        )["logStreams"]
        events = logs.get_log_events(
            logGroupName="/aws/sagemaker/TrainingJobs",
            logStreamName=streams[0]["logStreamName"],
            startFromHead=True,
        )["events"]
        line = next(event["message"] for event in events if "first line at" in event["message"])
        seconds.append(float(line.split()[-1]) - began)
    return seconds


def _request(name: str) -> dict[str, Any]:
    return {
        "TrainingJobName": name,
        "RoleArn": ROLE,
        "AlgorithmSpecification": {"TrainingImage": IMAGE, "TrainingInputMode": "File"},
        "HyperParameters": {
            "sagemaker_program": '"first_line.py"',
            "sagemaker_submit_directory": f'"s3://{BUCKET}/code.tar.gz"',
        },
        "OutputDataConfig": {"S3OutputPath": f"s3://{BUCKET}/"},
        "ResourceConfig": {
            "InstanceType": "ml.m5.large",
            "InstanceCount": 1,
            "VolumeSizeInGB": 1,
        },
        "StoppingCondition": {"MaxRuntimeInSeconds": 300},
    }


def _wait(sagemaker: Any, name: str) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        job = sagemaker.describe_training_job(TrainingJobName=name)
        if job["TrainingJobStatus"] == "Completed":
            return
        if job["TrainingJobStatus"] in {"Failed", "Stopped"}:
            raise RuntimeError(f"{name} failed: {job.get('FailureReason')}")
        time.sleep(0.1)
    raise RuntimeError(f"{name} did not end within two minutes")


def fits(home: Path, python: str, rounds: int) -> list[float]:
    """Seconds from the call of fit() to its return, for a script of two seconds."""
    folder = home / "script"
    folder.mkdir()
    (folder / "two_seconds.py").write_text(TWO_SECONDS)
    (folder.parent / "fit.py").write_text(FIT)
    clary_words = [sys.executable, "-m", "clary", "exec", "--"]
    run = subprocess.run(
        [*clary_words, python, str(home / "fit.py"), str(folder), str(rounds)],
        env={**os.environ, "CLARY_HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
    )
    if run.returncode:
        raise RuntimeError(f"the SDK's script failed:\n{run.stdout}\n{run.stderr}")
    return [float(line.split()[-1]) for line in run.stdout.splitlines() if "fit took" in line]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="3 jobs")
    parser.add_argument("--jobs", type=int, default=20)
    parser.add_argument("--warm-up", type=float, default=40, help="seconds for the warm parent")
    parser.add_argument("--sdk", help="a Python that has the SageMaker SDK v2")
    add_rows_option(parser)
    given = parser.parse_args()
    rows = Rows.of("service_latency", given)
    jobs = 3 if given.quick else given.jobs
    print(
        f"date {datetime.date.today()}, Python {platform.python_version()}, "
        f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the start"
    )
    with tempfile.TemporaryDirectory(prefix="clary-latency-") as folder:
        home = Path(folder)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        clary(home, "start", "--port", str(port))
        try:
            time.sleep(given.warm_up)
            seconds = first_lines(home, jobs)
            print(f"CreateTrainingJob → first user line, n = {jobs}, s: {Spread(seconds)}")
            print(f"within half a second: {sum(value <= 0.5 for value in seconds)} of {jobs}")
            rows.add(
                "CreateTrainingJob → first line of user code",
                "Clary",
                seconds,
                unit="s",
                goal=FIRST_LINE_GOAL_S,
                less=True,
            )
            if given.sdk:
                took = fits(home, given.sdk, 1 if given.quick else 3)
                print(f"fit(wait=True) of a two-second script, n = {len(took)}, s: {Spread(took)}")
                print(f"median {statistics.median(took):.1f} s")
                rows.add(
                    "fit() of a two-second script, SageMaker SDK 2",
                    "Clary",
                    took,
                    unit="s",
                    goal=FIT_GOAL_S,
                    less=True,
                )
        finally:
            clary(home, "stop")


if __name__ == "__main__":
    main()
