"""Trainings with rules for a real service, and how they stand."""

from __future__ import annotations

import io
import json
import tarfile
from functools import partial
from pathlib import Path
from typing import Any

from tests.service.conftest import RunningService
from tests.waiting import until

ROLE = "arn:aws:iam::000000000000:role/ClaryRole"
RULES = "1.dkr.ecr.us-east-1.amazonaws.com/sagemaker-debugger-rules:latest"
SOURCE = str(Path(__file__).resolve().parents[2] / "src")
# A training whose loss falls and whose other number is none at step 2; `then` is what follows.
SCRIPT = """
import math, os, sys, time
sys.path.insert(0, {source!r})
from pathlib import Path
from clary.formats.tensor_log import TensorLogWriter
from clary.formats.tensor_log.entries import Capture, CollectionRecord, Mode, Statistics, Step
losses = CollectionRecord("losses", ("[Ll]oss_(?!input).*output",), ("CrossEntropyLoss_output_0",))
folder = Path(os.environ.get("SAGEMAKER_BASE_DIR", "/opt/ml")) / "output" / "tensors"
worker = "worker_" + str(int(os.environ["SM_CURRENT_HOST"][-1]) - 1)
writer = TensorLogWriter(folder, worker=worker, collections=[losses])
name = "CrossEntropyLoss_output_0"
for number in range(12):
    other = math.nan if number == 2 and {ill} else 0.5
    step = Step(number, Mode.TRAIN, number, time.time())
    writer.write(Capture(step, scalars={{name: 1.0 / (number + 1), "other": other}}))
writer.flush()
print("steps done", flush=True)
{then}
writer.close()
"""
FOREVER = "time.sleep(600)"


def rule(name: str, invoke: str, **parameters: str) -> dict[str, Any]:
    return {
        "RuleConfigurationName": name,
        "RuleEvaluatorImage": RULES,
        "RuleParameters": {"rule_to_invoke": invoke, **parameters},
    }


EXPLODES = rule("explodes", "ExplodingTensor", tensor_regex="other")
FALLS = rule("falls", "LossNotDecreasing", num_steps="3")
BOTH = [EXPLODES, FALLS]


def put_code(service: RunningService, name: str, text: str) -> str:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:
        about = tarfile.TarInfo("train.py")
        about.size = len(text.encode())
        tar.addfile(about, io.BytesIO(text.encode()))
    key = f"code/{name}.tar.gz"
    service.client("s3").put_object(Bucket="ruled", Key=key, Body=archive.getvalue())
    return f"s3://ruled/{key}"


def create(
    service: RunningService,
    name: str,
    rules: list[dict[str, Any]],
    *,
    ill: bool = True,
    then: str = "",
    hosts: int = 1,
) -> None:
    text = SCRIPT.format(source=SOURCE, ill=ill, then=then)
    service.client("sagemaker").create_training_job(
        TrainingJobName=name,
        RoleArn=ROLE,
        AlgorithmSpecification={
            "TrainingImage": "x/pytorch-training:2.0-cpu-py310",
            "TrainingInputMode": "File",
        },
        HyperParameters={
            "sagemaker_program": '"train.py"',
            "sagemaker_submit_directory": json.dumps(put_code(service, name, text)),
        },
        OutputDataConfig={"S3OutputPath": "s3://ruled/out"},
        ResourceConfig={
            "InstanceType": "ml.m5.large",
            "InstanceCount": hosts,
            "VolumeSizeInGB": 1,
        },
        StoppingCondition={"MaxRuntimeInSeconds": 300},
        DebugHookConfig={"S3OutputPath": "s3://ruled/debug"},
        DebugRuleConfigurations=rules,
    )


def describe(service: RunningService, name: str) -> dict[str, Any]:
    return dict(service.client("sagemaker").describe_training_job(TrainingJobName=name))


def end(service: RunningService, name: str) -> dict[str, Any]:
    def ended() -> dict[str, Any] | None:
        job = describe(service, name)
        return None if job["TrainingJobStatus"] in {"InProgress", "Stopping"} else job

    return until(ended, partial(describe, service, name), pause_s=0.1)


def statuses(job: dict[str, Any]) -> dict[str, str]:
    return {
        one["RuleConfigurationName"]: one["RuleEvaluationStatus"]
        for one in job["DebugRuleEvaluationStatuses"]
    }


def details(job: dict[str, Any], name: str) -> str:
    found: str = next(
        one.get("StatusDetails", "")
        for one in job["DebugRuleEvaluationStatuses"]
        if one["RuleConfigurationName"] == name
    )
    return found


def wait_for(service: RunningService, name: str, configuration: str, status: str) -> dict[str, Any]:
    def reached() -> dict[str, Any] | None:
        job = describe(service, name)
        return job if statuses(job)[configuration] == status else None

    return until(reached, partial(describe, service, name), pause_s=0.1)
