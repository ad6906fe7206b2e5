"""Rules from end to end: a real service, real scripts and the real program that checks."""

from __future__ import annotations

import json

import pytest

from clary.formats.findings import read_findings
from clary.formats.rule_request import results_folder
from tests.service.conftest import RunningService
from tests.service.ruled import (
    BOTH,
    EXPLODES,
    FALLS,
    FOREVER,
    create,
    details,
    end,
    rule,
    statuses,
    wait_for,
)

OWN = "1.dkr.ecr.us-east-1.amazonaws.com/sagemaker-debugger-rule-evaluator:latest"
CUSTOM = """
from clary.rules import Rule

class Broken(Rule):
    def judge(self, window):
        raise ValueError("mine is broken")
"""


@pytest.fixture(scope="module", autouse=True)
def bucket(service: RunningService) -> None:
    service.client("s3").create_bucket(Bucket="ruled")


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


def test_tensors_of_all_hosts_are_judged(service: RunningService) -> None:
    create(service, "two", BOTH, hosts=2)
    job = end(service, "two")
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    assert statuses(job) == {"explodes": "IssuesFound", "falls": "NoIssuesFound"}
    issues = [
        one
        for one in read_findings(service.settings.jobs_dir / "two" / "rules" / "explodes")
        if one.kind == "issue"
    ]
    # A rule is over with its first issue, whichever host's tensors were there first.
    assert len(issues) == 1
    assert issues[0].worker in {"algo-1/worker_0", "algo-2/worker_1"}
    assert (issues[0].tensor, issues[0].step) == ("other", 2)
    listed = service.client("s3").list_objects_v2(Bucket="ruled", Prefix="debug/two/debug-output/")
    ended = {one["Key"].rpartition("/")[2] for one in listed["Contents"] if "/ended/" in one["Key"]}
    assert ended == {"worker_0.json", "worker_1.json"}


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
