"""Requests for tuning jobs, and what is asked of a bench about them."""

from __future__ import annotations

import copy
from typing import Any

from tests.service.operations.conftest import ROLE, Bench
from tests.waiting import PATIENCE_S, until

X = {"ContinuousParameterRanges": [{"Name": "x", "MinValue": "0", "MaxValue": "1"}]}
KIND = {"CategoricalParameterRanges": [{"Name": "kind", "Values": ["a", "b", "c"]}]}
LOSS = {"Type": "Minimize", "MetricName": "loss"}
# A loaded machine is waited for.


def request(name: str, **changes: Any) -> dict[str, Any]:
    """A CreateHyperParameterTuningJob; `a__b` changes the member b of a, None takes it away."""
    asked: dict[str, Any] = {
        "HyperParameterTuningJobName": name,
        "HyperParameterTuningJobConfig": {
            "Strategy": "Random",
            "HyperParameterTuningJobObjective": LOSS,
            "ResourceLimits": {"MaxNumberOfTrainingJobs": 3, "MaxParallelTrainingJobs": 2},
            "ParameterRanges": X,
        },
        "TrainingJobDefinition": {
            "StaticHyperParameters": {"batch": "32"},
            "AlgorithmSpecification": {
                "TrainingImage": "pytorch-training:2.2",
                "TrainingInputMode": "File",
                "MetricDefinitions": [{"Name": "loss", "Regex": "loss=([0-9.]+)"}],
            },
            "RoleArn": ROLE,
            "OutputDataConfig": {"S3OutputPath": "s3://bucket/out"},
            "ResourceConfig": {
                "InstanceType": "ml.m5.xlarge",
                "InstanceCount": 1,
                "VolumeSizeInGB": 30,
            },
            "StoppingCondition": {"MaxRuntimeInSeconds": 3600},
        },
    }
    short = {
        "config": "HyperParameterTuningJobConfig",
        "training": "TrainingJobDefinition",
        "limits": "ResourceLimits",
    }
    for path, value in changes.items():
        *parents, member = [short.get(part, part) for part in path.split("__")]
        target = asked
        for parent in parents:
            target = target[parent]
        if value is None:
            target.pop(member, None)
        else:
            target[member] = value
    return copy.deepcopy(asked)


def create(bench: Bench, name: str, **changes: Any) -> str:
    answer = bench.client("sagemaker").create_hyper_parameter_tuning_job(**request(name, **changes))
    arn: str = answer["HyperParameterTuningJobArn"]
    return arn


def describe(bench: Bench, name: str, **client: Any) -> dict[str, Any]:
    return dict(
        bench.client("sagemaker", **client).describe_hyper_parameter_tuning_job(
            HyperParameterTuningJobName=name
        )
    )


def end(bench: Bench, name: str) -> None:
    """Let a tuning job be stopped, and wait for it."""
    bench.client("sagemaker").stop_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)
    job = bench.supervisor.wait_until_tuning(name, lambda job: not job.active, PATIENCE_S)
    assert job is not None
    assert job.status == "Stopped"


def trials_of(bench: Bench, name: str) -> list[str]:
    """The names of a tuning job's trials, when it has begun one."""
    job = bench.state.tuning_jobs.find(name)
    assert job is not None
    trials = until(lambda: bench.state.training_jobs.trials_of(job.number))
    return [trial.name for trial in trials]
