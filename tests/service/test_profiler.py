"""The profiler from end to end: a real service, real scripts and the real program that checks."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from tests.service.conftest import RunningService
from tests.service.profiled import (
    FOREVER,
    FOUND,
    LATE,
    PROFILE,
    REPORT,
    keys,
    profile,
    report_keys,
    snapshots,
    statuses,
    wait_for,
    whole,
)
from tests.service.ruled import EXPLODES, describe, end
from tests.service.supervisor.rules.rule_jobs import profiler_rule
from tests.waiting import until


@pytest.fixture(scope="module", autouse=True)
def bucket(service: RunningService) -> None:
    service.client("s3").create_bucket(Bucket="ruled")


def quiet(service: RunningService, name: str, host: str) -> bool:
    """Whether nobody looks at the machine for a second."""
    before = len(snapshots(service, name, host))
    time.sleep(1.0)
    return len(snapshots(service, name, host)) == before


def stop(service: RunningService, name: str) -> dict[str, Any]:
    service.client("sagemaker").stop_training_job(TrainingJobName=name)
    job = end(service, name)
    assert job["TrainingJobStatus"] == "Stopped"
    return job


def test_the_report_is_there_when_the_job_is_completed(service: RunningService) -> None:
    profile(service, "late", DebugRuleConfigurations=[EXPLODES])
    job = end(service, "late")
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    assert job["ProfilingStatus"] == "Enabled"
    assert statuses(job) == FOUND, job["ProfilerRuleEvaluationStatuses"]
    rows = {one["RuleConfigurationName"]: one for one in job["ProfilerRuleEvaluationStatuses"]}
    assert "the first training step came after" in rows["late"]["StatusDetails"]
    assert whole(report_keys(service, "late", "ProfilerReport"))
    assert {"status.json", "findings.jsonl", "log"} <= report_keys(service, "late", "late")
    stored = keys(service, "profile/late/profiler-output/")
    assert {"timeline/worker_0/facts.json", "timeline/worker_0/steps-000001.bin"} <= stored
    assert any(key.startswith("system/incremental/") for key in stored)
    name = rows["late"]["RuleEvaluationJobArn"].rpartition("/")[2]
    logs = service.client("logs")
    group = "/aws/sagemaker/ProcessingJobs"
    streams = logs.describe_log_streams(logGroupName=group, logStreamNamePrefix=name)
    (stream,) = streams["logStreams"]
    events = logs.get_log_events(logGroupName=group, logStreamName=stream["logStreamName"])
    assert any("first training step" in event["message"] for event in events["events"])
    listed = service.client("sagemaker").list_processing_jobs(NameContains="late-")
    assert len(listed["ProcessingJobSummaries"]) == 4


def test_the_report_of_a_failed_training_is_there(service: RunningService) -> None:
    profile(service, "fails", then="sys.exit(3)")
    job = end(service, "fails")
    assert job["TrainingJobStatus"] == "Failed"
    assert statuses(job) == FOUND
    assert whole(report_keys(service, "fails", "ProfilerReport"))


def test_hosts_are_looked_at_as_they_are_told_while_they_run(service: RunningService) -> None:
    sagemaker, hosts = service.client("sagemaker"), ("algo-1", "algo-2")
    profile(service, "changes", then=FOREVER, hosts=2)
    for host in hosts:
        until(lambda host=host: len(snapshots(service, "changes", host)) > 2)
    until(lambda: any("system/" in key for key in keys(service, "profile/changes/")))
    disabled = {"DisableProfiler": True}
    sagemaker.update_training_job(TrainingJobName="changes", ProfilerConfig=disabled)
    for host in hosts:
        until(lambda host=host: quiet(service, "changes", host))
    for name in FOUND:
        wait_for(service, "changes", name, "Stopped", "IssuesFound", "NoIssuesFound")
    rows = describe(service, "changes")["ProfilerRuleEvaluationStatuses"]
    details = {one["RuleConfigurationName"]: one["StatusDetails"] for one in rows}
    assert details["ProfilerReport"].startswith(
        "stopped by UpdateTrainingJob, which has turned the profiler off"
    )
    until(lambda: whole(report_keys(service, "changes", "ProfilerReport")))
    seen = {host: len(snapshots(service, "changes", host)) for host in hosts}
    sagemaker.update_training_job(
        TrainingJobName="changes",
        ProfilerConfig={"DisableProfiler": False, "ProfilingIntervalInMilliseconds": 100},
        ProfilerRuleConfigurations=[
            {**REPORT, "RuleConfigurationName": "again"},
            profiler_rule("beside", "StepOutlier"),
        ],
    )
    for host in hosts:
        until(lambda host=host: len(snapshots(service, "changes", host)) > seen[host] + 5)
    job = stop(service, "changes")
    assert statuses(job)["again"] == "IssuesFound"
    assert statuses(job)["beside"] in {"IssuesFound", "NoIssuesFound"}
    assert "status.json" in report_keys(service, "changes", "beside")
    added = service.settings.jobs_dir / "changes/rules.profiler.added"
    assert [one.name for one in added.iterdir()] == ["again"]
    assert whole(report_keys(service, "changes", "again"))
    stored = keys(service, "profile/changes/profiler-output/timeline/")
    assert {f"{host}-worker_0/facts.json" for host in hosts} <= stored


def test_a_job_without_a_profile_gets_one_while_it_runs(service: RunningService) -> None:
    profile(service, "plain", (), then=FOREVER, ProfilerConfig={"DisableProfiler": True})
    until(lambda: describe(service, "plain")["SecondaryStatus"] == "Training")
    assert snapshots(service, "plain") == []
    service.client("sagemaker").update_training_job(
        TrainingJobName="plain",
        ProfilerConfig={"DisableProfiler": False, "S3OutputPath": "s3://ruled/other"},
        ProfilerRuleConfigurations=[REPORT],
    )
    until(lambda: len(snapshots(service, "plain")) > 1)
    log = service.settings.jobs_dir / "plain/logs/algo-1.log"
    until(lambda: "steps done" in log.read_text())
    assert statuses(stop(service, "plain")) == {"ProfilerReport": "IssuesFound"}
    assert whole(report_keys(service, "plain", "ProfilerReport"))
    assert keys(service, "other/plain/profiler-output/system/")


def test_a_rule_of_the_profiler_is_stopped_alone(service: RunningService) -> None:
    rules = [REPORT, profiler_rule("steps", "StepOutlier")]
    profile(service, "alone", rules, then=FOREVER)
    until((service.settings.jobs_dir / "alone/rules.profiler/steps/status.json").exists)
    rows = describe(service, "alone")["ProfilerRuleEvaluationStatuses"]
    name = rows[1]["RuleEvaluationJobArn"].rpartition("/")[2]
    service.client("sagemaker").stop_processing_job(ProcessingJobName=name)
    wait_for(service, "alone", "steps", "Stopped")
    row = describe(service, "alone")["ProfilerRuleEvaluationStatuses"][1]
    assert row["StatusDetails"].startswith("stopped by StopProcessingJob")
    log = service.settings.jobs_dir / "alone/logs/algo-1.log"
    until(lambda: "steps done" in log.read_text())
    assert statuses(stop(service, "alone"))["ProfilerReport"] == "IssuesFound"


def test_a_bucket_that_is_not_there_does_not_fail_the_training(service: RunningService) -> None:
    profile(service, "nowhere", [LATE], ProfilerConfig={**PROFILE, "S3OutputPath": "s3://no/x"})
    job = end(service, "nowhere")
    assert job["TrainingJobStatus"] == "Completed"
    assert statuses(job) == {"late": "IssuesFound"}
    log = (service.settings.jobs_dir / "nowhere/logs/algo-1.log").read_text()
    assert "clary: what the profiler saw is not all in S3:" in log


def test_a_profile_goes_on_when_the_service_is_killed(own_service: RunningService) -> None:
    own_service.client("s3").create_bucket(Bucket="ruled")
    profile(own_service, "killed", then=FOREVER)
    until(lambda: len(snapshots(own_service, "killed")) > 1)
    own_service.client("sagemaker").update_training_job(
        TrainingJobName="killed", ProfilerRuleConfigurations=[profiler_rule("later", "StepOutlier")]
    )
    own_service.kill()
    seen = len(snapshots(own_service, "killed"))
    until(lambda: len(snapshots(own_service, "killed")) > seen + 2)
    own_service.restart()
    until((own_service.settings.jobs_dir / "killed/rules.profiler/later/log").exists)
    job = stop(own_service, "killed")
    assert statuses(job) == {**FOUND, "later": "NoIssuesFound"}
    assert whole(report_keys(own_service, "killed", "ProfilerReport"))
    stored = own_service.settings.buckets_dir / "ruled/profile/killed/profiler-output"
    files = list((stored / "system/incremental").glob("*/*.json"))
    lines = [line for file in files for line in file.read_text().splitlines()]
    moments = sorted({json.loads(line)["Timestamp"] for line in lines})
    assert moments == snapshots(own_service, "killed")
