"""What `kill -9` of the service and of checkers does to profiles: the report is whole all the same.

`CLARY_CRASH_ROUNDS` sets how often each test kills; the moments are drawn from a seed.
"""

from __future__ import annotations

import random
import time

import pytest

from clary.formats.findings import read_findings
from clary.formats.rule_request import results_folder
from tests.service.conftest import RunningService
from tests.service.profiled import (
    FOREVER,
    FOUND,
    profile,
    report_keys,
    snapshots,
    statuses,
    wait_for,
    whole,
)
from tests.service.ruled import describe, end
from tests.service.supervisor.rules.rule_jobs import profiler_rule
from tests.service.test_rule_crashes import ROUNDS, kill_checkers, wait_until
from tests.waiting import until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

# What is there when the service is killed, wherever the machine is slow: the request, a look at the
# machine, a verdict, the word that the training is over. Below the directory of a job.
_MOMENTS = (
    "rules.profiler/request.json",
    "output/profiler/system/incremental/*/*.json",
    "rules.profiler/late/findings.jsonl",
    "rules.profiler/ended",
)


def stored_moments(service: RunningService, name: str) -> int:
    """How many files of the machine are in S3 as the host has written them."""
    inside = "output/profiler/system/incremental"
    here = service.settings.jobs_dir / name / inside
    there = service.settings.buckets_dir / f"ruled/profile/{name}/profiler-output"
    files = list(here.glob("*/*.json"))
    for file in files:
        stored = there / "system/incremental" / file.relative_to(here)
        assert stored.read_bytes() == file.read_bytes()
    return len(files)


def test_the_report_is_whole_whenever_the_service_is_killed(own_service: RunningService) -> None:
    service = own_service
    service.client("s3").create_bucket(Bucket="ruled")
    chance = random.Random(20261121)
    for number in range(ROUNDS):
        name = f"killed-{number}"
        profile(service, name, then="time.sleep(1.5)")
        wait_until(_MOMENTS[number % len(_MOMENTS)], service.settings.jobs_dir / name)
        time.sleep(chance.uniform(0.0, 0.4))
        service.kill()
        service.restart()
        job = end(service, name)
        assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
        assert statuses(job) == FOUND
        assert whole(report_keys(service, name, "ProfilerReport"))
        assert stored_moments(service, name)


def test_what_was_changed_is_not_lost_when_the_service_is_killed(
    own_service: RunningService,
) -> None:
    service = own_service
    service.client("s3").create_bucket(Bucket="ruled")
    for number in range(-(-ROUNDS // 2)):  # each is killed at the same moment
        name = f"changed-{number}"
        profile(service, name, (), then=FOREVER, ProfilerConfig={"DisableProfiler": True})
        wait_until(".started.json", service.settings.jobs_dir / name)
        service.client("sagemaker").update_training_job(
            TrainingJobName=name,
            ProfilerConfig={"DisableProfiler": False, "ProfilingIntervalInMilliseconds": 100},
            ProfilerRuleConfigurations=[profiler_rule("later", "StepOutlier")],
        )
        service.kill()
        service.restart()
        wait_until("output/profiler/system/incremental/*/*.json", service.settings.jobs_dir / name)
        wait_until("rules.profiler/later/log", service.settings.jobs_dir / name)
        assert snapshots(service, name)
        service.client("sagemaker").stop_training_job(TrainingJobName=name)
        assert statuses(end(service, name)) == {"later": "NoIssuesFound"}


def test_a_checker_that_is_killed_is_started_again(own_service: RunningService) -> None:
    service = own_service
    service.client("s3").create_bucket(Bucket="ruled")
    profile(service, "checked", then=FOREVER)
    wait_for(service, "checked", "late", "IssuesFound")
    until(lambda: kill_checkers(service, "checked"))
    service.client("sagemaker").stop_training_job(TrainingJobName="checked")
    assert statuses(end(service, "checked")) == FOUND
    assert whole(report_keys(service, "checked", "ProfilerReport"))
    folder = service.settings.jobs_dir / "checked" / "rules.profiler"
    found = read_findings(results_folder(folder, "late"))
    assert len([one for one in found if one.kind == "issue"]) == 1


def test_a_checker_that_is_killed_again_and_again_is_given_up(own_service: RunningService) -> None:
    service = own_service
    service.client("s3").create_bucket(Bucket="ruled")
    rules = [profiler_rule("steps", "StepOutlier")]
    profile(service, "hunted", rules, then=FOREVER)

    def given_up() -> bool:
        kill_checkers(service, "hunted")
        return statuses(describe(service, "hunted"))["steps"] != "InProgress"

    until(given_up, pause_s=0.1)
    job = describe(service, "hunted")
    assert statuses(job) == {"steps": "Error"}
    assert "ended 4 times" in job["ProfilerRuleEvaluationStatuses"][0]["StatusDetails"]
    assert job["TrainingJobStatus"] == "InProgress"
    service.client("sagemaker").stop_training_job(TrainingJobName="hunted")
    assert end(service, "hunted")["TrainingJobStatus"] == "Stopped"
