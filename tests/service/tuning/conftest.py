"""A real service, people's scripts in its bucket, and tuning jobs of them through boto3."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.service.conftest import RunningService
from tests.waiting import until

ROLE = "arn:aws:iam::000000000000:role/ClaryRole"
IMAGE = "763104351884.dkr.ecr.us-east-1.amazonaws.com/pytorch-training:2.0-cpu-py310"
TERMINAL = {"Completed", "Failed", "Stopped"}

Config = dict[str, Any]

# Runs in a fresh interpreter: no framework is imported.
HEAD = """
import argparse, json, os, sys, time
parser = argparse.ArgumentParser()
parser.add_argument("-x", type=float, default=0.0)
parser.add_argument("--kind", default="plain")
arguments, others = parser.parse_known_args()
"""
ENDLESS = HEAD + 'print("objective=1", flush=True)\ntime.sleep(600)\n'
BOWL = HEAD + 'print(f"objective={(arguments.x - 3) ** 2}", flush=True)\n'


def pack(script: str) -> bytes:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:
        about = tarfile.TarInfo("train.py")
        about.size = len(script.encode())
        tar.addfile(about, io.BytesIO(script.encode()))
    return archive.getvalue()


def definition(script: str, **changes: Any) -> dict[str, Any]:
    """A training job definition whose code is the object `code/SCRIPT.tar.gz`."""
    given = {
        "StaticHyperParameters": {
            "sagemaker_program": '"train.py"',
            "sagemaker_submit_directory": json.dumps(f"s3://tuning/code/{script}.tar.gz"),
        },
        "AlgorithmSpecification": {
            "TrainingImage": IMAGE,
            "TrainingInputMode": "File",
            "MetricDefinitions": [{"Name": "objective", "Regex": "objective=([-0-9.e]+)"}],
        },
        "RoleArn": ROLE,
        "OutputDataConfig": {"S3OutputPath": "s3://tuning/output/"},
        "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
        "StoppingCondition": {"MaxRuntimeInSeconds": 300},
    }
    static = {**given["StaticHyperParameters"], **changes.pop("static", {})}  # type: ignore[dict-item]
    return {**given, "StaticHyperParameters": static, **changes}


def configuration(trials: int | None, parallel: int = 2, **changes: Any) -> Config:
    limits: dict[str, Any] = {"MaxParallelTrainingJobs": parallel}
    if trials is not None:
        limits["MaxNumberOfTrainingJobs"] = trials
    return {
        "Strategy": "Random",
        "HyperParameterTuningJobObjective": {"Type": "Minimize", "MetricName": "objective"},
        "ResourceLimits": limits,
        "ParameterRanges": {
            "ContinuousParameterRanges": [{"Name": "x", "MinValue": "0", "MaxValue": "10"}]
        },
        "RandomSeed": 1,
        **changes,
    }


class Tuning:
    """Tuning jobs of one service."""

    def __init__(self, service: RunningService) -> None:
        self.service = service
        self.connect()
        self.service.client("s3").create_bucket(Bucket="tuning")

    def connect(self) -> None:
        self.client = self.service.client("sagemaker")

    def put(self, name: str, script: str) -> None:
        body = pack(script)
        key = f"code/{name}.tar.gz"
        self.service.client("s3").put_object(Bucket="tuning", Key=key, Body=body)

    def create(self, name: str, config: Config, training: Any, **more: Any) -> str:
        kind = "TrainingJobDefinitions" if isinstance(training, list) else "TrainingJobDefinition"
        answer = self.client.create_hyper_parameter_tuning_job(
            HyperParameterTuningJobName=name,
            HyperParameterTuningJobConfig=config,
            **{kind: training},
            **more,
        )
        arn: str = answer["HyperParameterTuningJobArn"]
        return arn

    def describe(self, name: str) -> dict[str, Any]:
        return dict(
            self.client.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)
        )

    def trials(self, name: str, **asked: Any) -> list[dict[str, Any]]:
        pages = self.client.get_paginator(
            "list_training_jobs_for_hyper_parameter_tuning_job"
        ).paginate(HyperParameterTuningJobName=name, **asked)
        return [trial for page in pages for trial in page["TrainingJobSummaries"]]

    def until(self, name: str, satisfied: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        def found() -> dict[str, Any] | None:
            job = self.describe(name)
            return job if satisfied(job) else None

        return until(found, lambda: self.describe(name), pause_s=0.05)

    def wait(self, name: str) -> dict[str, Any]:
        return self.until(name, lambda job: job["HyperParameterTuningJobStatus"] in TERMINAL)


@pytest.fixture(scope="package")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """One service for all tests here, whose tuning jobs have names of their own."""
    running = RunningService(tmp_path_factory.mktemp("service") / "home")
    running.start()
    try:
        yield running
    finally:
        running.stop()


@pytest.fixture(scope="package")
def tuning(service: RunningService) -> Tuning:
    """The tuning jobs of that service, with the script `bowl` in its bucket."""
    tuning = Tuning(service)
    tuning.put("bowl", BOWL)
    tuning.put("endless", ENDLESS)
    return tuning
