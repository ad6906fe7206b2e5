"""Tuning jobs as CreateHyperParameterTuningJob stores them, without the service around them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from clary.service.state.tuning_jobs import TuningJob
from clary.service.supervisor.tuning.transitions import SEARCHING

ARN = "arn:aws:sagemaker:us-east-1:000000000000:hyper-parameter-tuning-job/"
X = {"ContinuousParameterRanges": [{"Name": "x", "MinValue": "0", "MaxValue": "1"}]}
OBJECTIVE = {"Type": "Minimize", "MetricName": "loss"}


def training_definition(**changes: Any) -> dict[str, Any]:
    return {
        "AlgorithmSpecification": {
            "TrainingImage": "pytorch-training:2.2",
            "TrainingInputMode": "File",
            "MetricDefinitions": [{"Name": "loss", "Regex": "loss=([-0-9.e]+)"}],
        },
        "RoleArn": "arn:aws:iam::000000000000:role/ClaryRole",
        "OutputDataConfig": {"S3OutputPath": "s3://bucket/"},
        "ResourceConfig": {"InstanceType": "ml.m5.xlarge", "InstanceCount": 1},
        "StoppingCondition": {"MaxRuntimeInSeconds": 3600},
        **changes,
    }


def new_tuning_job(
    name: str,
    trials: int | None = 3,
    parallel: int = 2,
    *,
    definitions: Sequence[dict[str, Any]] = (),
    parents: tuple[int, ...] = (),
    **config: Any,
) -> TuningJob:
    now_ms = int(time.time() * 1000)
    limits: dict[str, Any] = {"MaxParallelTrainingJobs": parallel}
    if trials is not None:
        limits["MaxNumberOfTrainingJobs"] = trials
    asked: dict[str, Any] = {"Strategy": "Random", "ResourceLimits": limits, "RandomSeed": 1}
    request: dict[str, Any] = {"HyperParameterTuningJobName": name}
    if definitions:
        request["TrainingJobDefinitions"] = list(definitions)
    else:
        request["TrainingJobDefinition"] = training_definition()
        asked |= {"HyperParameterTuningJobObjective": OBJECTIVE, "ParameterRanges": X}
    request["HyperParameterTuningJobConfig"] = {**asked, **config}
    return TuningJob(
        name=name,
        arn=ARN + name,
        request=request,
        status=SEARCHING[0],
        phase=SEARCHING[1],
        created_ms=now_ms,
        modified_ms=now_ms,
        parents=parents,
    )
