"""Rules from end to end: a real service, real scripts and the real program that checks."""

from __future__ import annotations

import io
import json
import tarfile
import time
from pathlib import Path
from typing import Any

import pytest

from clary.formats.findings import read_findings
from clary.formats.rule_request import results_folder
from tests.service.conftest import RunningService

ROLE = "arn:aws:iam::000000000000:role/ClaryRole"
RULES = "1.dkr.ecr.us-east-1.amazonaws.com/sagemaker-debugger-rules:latest"
OWN = "1.dkr.ecr.us-east-1.amazonaws.com/sagemaker-debugger-rule-evaluator:latest"
WAIT_S = 120.0
SOURCE = str(Path(__file__).resolve().parents[2] / "src")
# A training whose loss falls and whose other number is none at step 2; `then` is what it does after its steps.
SCRIPT = """
import math, os, sys, time
sys.path.insert(0, {source!r})
from pathlib import Path
from clary.formats.tensor_log import TensorLogWriter
from clary.formats.tensor_log.entries import Capture, CollectionRecord, Mode, Statistics, Step
losses = CollectionRecord("losses", ("[Ll]oss_(?!input).*output",), ("CrossEntropyLoss_output_0",))
folder = Path(os.environ.get("SAGEMAKER_BASE_DIR", "/opt/ml")) / "output" / "tensors"
writer = TensorLogWriter(folder, collections=[losses])
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
CUSTOM = """
from clary.rules import Rule

class Broken(Rule):
    def judge(self, window):
        raise ValueError("mine is broken")
"""


def rule(name: str, invoke: str, **parameters: str) -> dict[str, Any]:
    return {
        "RuleConfigurationName": name,
        "RuleEvaluatorImage": RULES,
        "RuleParameters": {"rule_to_invoke": invoke, **parameters},
    }


EXPLODES = rule("explodes", "ExplodingTensor", tensor_regex="other")
FALLS = rule("falls", "LossNotDecreasing", num_steps="3")
BOTH = [EXPLODES, FALLS]


@pytest.fixture(scope="module", autouse=True)
def bucket(service: RunningService) -> None:
    service.client("s3").create_bucket(Bucket="ruled")


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
        ResourceConfig={"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
        StoppingCondition={"MaxRuntimeInSeconds": 300},
        DebugHookConfig={"S3OutputPath": "s3://ruled/debug"},
        DebugRuleConfigurations=rules,
    )


def describe(service: RunningService, name: str) -> dict[str, Any]:
    return dict(service.client("sagemaker").describe_training_job(TrainingJobName=name))


def end(service: RunningService, name: str) -> dict[str, Any]:
    deadline = time.monotonic() + WAIT_S
    while (job := describe(service, name))["TrainingJobStatus"] in {"InProgress", "Stopping"}:
        assert time.monotonic() < deadline, job
        time.sleep(0.1)
    return job


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
    deadline = time.monotonic() + WAIT_S
    while statuses(job := describe(service, name))[configuration] != status:
        assert time.monotonic() < deadline, job["DebugRuleEvaluationStatuses"]
        time.sleep(0.1)
    return job


def test_results_are_there_when_the_job_is_completed(service: RunningService) -> None:
    create(service, "ill", BOTH)
    job = end(service, "ill")
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    assert statuses(job) == {"explodes": "IssuesFound", "falls": "NoIssuesFound"}
    assert details(job, "explodes").startswith(
        "RuleEvaluationConditionMet: Evaluation of the rule ExplodingTensor at step 2 resulted in "
        "the condition being met\n"
    )
    s3 = service.client("s3")
    listed = s3.list_objects_v2(Bucket="ruled", Prefix="out/ill/rule-output/")["Contents"]
    keys = {one["Key"].removeprefix("out/ill/rule-output/") for one in listed}
    assert {"explodes/status.json", "explodes/findings.jsonl", "explodes/log"} <= keys
    assert "falls/status.json" in keys
    status = s3.get_object(Bucket="ruled", Key="out/ill/rule-output/explodes/status.json")
    assert json.loads(status["Body"].read())["status"] == "IssuesFound"
    assert s3.head_object(Bucket="ruled", Key="debug/ill/debug-output/training_job_end.ts")
    (arn, *_) = [one["RuleEvaluationJobArn"] for one in job["DebugRuleEvaluationStatuses"]]
    logs = service.client("logs")
    group = "/aws/sagemaker/ProcessingJobs"
    (stream,) = logs.describe_log_streams(
        logGroupName=group, logStreamNamePrefix=arn.rpartition("/")[2]
    )["logStreams"]
    events = logs.get_log_events(logGroupName=group, logStreamName=stream["logStreamName"])
    assert any("step 2" in event["message"] for event in events["events"])


def test_a_rule_stops_the_training_while_it_runs(service: RunningService) -> None:
    action = json.dumps([{"name": "stoptraining", "training_job_prefix": "stops-"}])
    stops = rule("explodes", "ExplodingTensor", tensor_regex=".*", action_json=action)
    create(service, "stops-itself", [stops, FALLS], then=FOREVER)
    job = end(service, "stops-itself")
    assert job["TrainingJobStatus"] == "Stopped"
    assert statuses(job) == {"explodes": "IssuesFound", "falls": "NoIssuesFound"}


def test_rules_of_a_failed_training_have_their_results(service: RunningService) -> None:
    create(service, "fails", BOTH, then="sys.exit(3)")
    job = end(service, "fails")
    assert job["TrainingJobStatus"] == "Failed"
    assert statuses(job) == {"explodes": "IssuesFound", "falls": "NoIssuesFound"}


def test_a_rule_of_one_s_own_that_breaks_lets_the_others_be(service: RunningService) -> None:
    service.client("s3").put_object(Bucket="ruled", Key="rules/mine.py", Body=CUSTOM.encode())
    own = {
        "RuleConfigurationName": "own/1",
        "RuleEvaluatorImage": OWN,
        "RuleParameters": {
            "rule_to_invoke": "Broken",
            "source_s3_uri": "s3://ruled/rules/mine.py",
        },
    }
    gone = {
        **own,
        "RuleConfigurationName": "gone",
        "RuleParameters": {"rule_to_invoke": "X", "source_s3_uri": "s3://ruled/rules/none.py"},
    }
    create(service, "breaks", [EXPLODES, own, gone], ill=False)
    job = end(service, "breaks")
    assert job["TrainingJobStatus"] == "Completed"
    assert statuses(job) == {"explodes": "NoIssuesFound", "own/1": "Error", "gone": "Error"}
    assert details(job, "own/1").endswith("mine is broken")
    assert "none.py" in details(job, "gone")
    seen = results_folder(service.settings.jobs_dir / "breaks" / "rules", "own/1")
    assert any("mine is broken" in finding.detail for finding in read_findings(seen))


def test_rules_go_on_when_the_service_is_killed(own_service: RunningService) -> None:
    own_service.client("s3").create_bucket(Bucket="ruled")
    create(own_service, "killed", BOTH, then=FOREVER)
    wait_for(own_service, "killed", "explodes", "IssuesFound")
    own_service.kill()
    own_service.restart()
    own_service.client("sagemaker").stop_training_job(TrainingJobName="killed")
    job = end(own_service, "killed")
    assert job["TrainingJobStatus"] == "Stopped"
    assert statuses(job) == {"explodes": "IssuesFound", "falls": "NoIssuesFound"}
    listed = own_service.client("sagemaker").list_processing_jobs()["ProcessingJobSummaries"]
    assert [one["ProcessingJobStatus"] for one in listed] == ["Completed", "Completed"]
