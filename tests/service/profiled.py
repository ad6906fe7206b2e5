"""Trainings with a profile for a real service: the first step comes late, and how they stand."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from typing import Any

from tests.service.conftest import RunningService
from tests.service.ruled import ROLE, SOURCE, describe, put_code
from tests.service.supervisor.rules.rule_jobs import profiler_rule
from tests.waiting import until

# A training as its recorder tells of it, whose first step comes half a second late; `then` is what
# follows. It knows nothing of torch, which takes long to load.
SCRIPT = """
import os, sys, time
sys.path.insert(0, {source!r})
from pathlib import Path
from clary.formats.timeline import Facts, Mode, StepRecord, TimelineWriter
folder, node = Path(os.environ["CLARY_PROFILER_FOLDER"]), os.environ["CLARY_PROFILER_NODE"]
time.sleep(0.5)
writer = TimelineWriter(folder)
now_us = time.time_ns() // 1000
writer.write_facts(Facts("worker_0", os.getpid(), node, now_us, cores=2, batch_size=8))
for number in range(20):
    start_us = now_us + number * 1000
    writer.write_steps([StepRecord(Mode.TRAIN, number, start_us, 0.001, 0.001, pictures=8)])
print("steps done", flush=True)
{then}
writer.close()
"""
FOREVER = "time.sleep(600)"
PROFILE = {"S3OutputPath": "s3://ruled/profile", "ProfilingIntervalInMilliseconds": 200}
# Half a second is too long for both; an hour would not be.
REPORT = profiler_rule("ProfilerReport", MaxInitializationTime_threshold="0.005")
LATE = profiler_rule("late", "MaxInitializationTime", threshold="0.005")
EARLY = profiler_rule("early", "MaxInitializationTime", threshold="60")
ALL = (REPORT, LATE, EARLY)
FOUND = {"ProfilerReport": "IssuesFound", "late": "IssuesFound", "early": "NoIssuesFound"}
# What SageMaker stores of a ProfilerReport.
THIRTEEN = {
    "profiler-report.html",
    "profiler-report.ipynb",
    *(
        f"profiler-reports/{name}.json"
        for name in (
            "BatchSize",
            "CPUBottleneck",
            "Dataloader",
            "GPUMemoryIncrease",
            "IOBottleneck",
            "LoadBalancing",
            "LowGPUUtilization",
            "MaxInitializationTime",
            "OverallFrameworkMetrics",
            "OverallSystemUsage",
            "StepOutlier",
        )
    ),
}


def profile(
    service: RunningService,
    name: str,
    rules: Sequence[dict[str, Any]] = ALL,
    *,
    then: str = "",
    hosts: int = 1,
    **members: Any,
) -> None:
    """Create a training job."""
    text = SCRIPT.format(source=SOURCE, then=then)
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
        ResourceConfig={"InstanceType": "ml.m5.large", "InstanceCount": hosts, "VolumeSizeInGB": 1},
        StoppingCondition={"MaxRuntimeInSeconds": 300},
        **{"ProfilerConfig": PROFILE, "ProfilerRuleConfigurations": list(rules), **members},
    )


def statuses(job: dict[str, Any]) -> dict[str, str]:
    """How the rules of the profiler stand."""
    return {
        one["RuleConfigurationName"]: one["RuleEvaluationStatus"]
        for one in job["ProfilerRuleEvaluationStatuses"]
    }


def wait_for(service: RunningService, name: str, configuration: str, *wanted: str) -> None:
    """Wait until a rule stands as wanted."""
    now = partial(describe, service, name)
    until(
        lambda: statuses(now())[configuration] in wanted,
        lambda: now()["ProfilerRuleEvaluationStatuses"],
        pause_s=0.1,
    )


def keys(service: RunningService, prefix: str) -> set[str]:
    """The objects below a prefix, without it."""
    pages = service.client("s3").get_paginator("list_objects_v2")
    found = pages.paginate(Bucket="ruled", Prefix=prefix)
    return {one["Key"].removeprefix(prefix) for page in found for one in page.get("Contents") or ()}


def report_keys(service: RunningService, name: str, configuration: str) -> set[str]:
    """What S3 has of a rule's results."""
    return keys(service, f"out/{name}/rule-output/{configuration}/")


def whole(found: set[str]) -> bool:
    """Whether that is a report as SageMaker stores it, and nothing else."""
    return found == {f"profiler-output/{name}" for name in THIRTEEN}


def snapshots(service: RunningService, name: str, host: str = "algo-1") -> list[float]:
    """When the machine was looked at, from what its host has written."""
    root = service.settings.jobs_dir / name
    root = root if host == "algo-1" else root / "hosts" / host
    files = sorted((root / "output/profiler/system/incremental").glob(f"*/*.{host}.json"))
    lines = [line for file in files for line in file.read_text().splitlines()]
    return sorted({json.loads(line)["Timestamp"] for line in lines})
