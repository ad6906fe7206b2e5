"""A job ends while somebody is still being told of it."""

from __future__ import annotations

import json
from pathlib import Path

from tests.service.conftest import RunningService
from tests.service.ruled import create, end, rule, statuses
from tests.waiting import until

GROUP = "/aws/sagemaker/ProcessingJobs"


def told(service: RunningService) -> list[str]:
    logs = service.client("logs")
    streams = logs.describe_log_streams(logGroupName=GROUP)["logStreams"]
    names = [one["logStreamName"] for one in streams if "/actions-" in one["logStreamName"]]
    return [
        event["message"]
        for name in names
        for event in logs.get_log_events(logGroupName=GROUP, logStreamName=name)["events"]
    ]


def test_a_slow_command_does_not_hold_its_job_up(tmp_path: Path) -> None:
    go = tmp_path / "go"
    waits = f"while ! test -e {go}; do sleep 0.1; done"
    service = RunningService(tmp_path / "home", {"CLARY_RULE_COMMAND": waits})
    service.start()
    try:
        service.client("s3").create_bucket(Bucket="ruled")
        email = json.dumps([{"name": "email", "endpoint": "me@example.org"}])
        fires = rule("explodes", "ExplodingTensor", tensor_regex="other", action_json=email)
        create(service, "slow", [fires])
        job = end(service, "slow")
        assert job["TrainingJobStatus"] == "Completed"
        assert statuses(job) == {"explodes": "IssuesFound"}
        assert told(service)[:1] == ["email (me@example.org): being sent"]
        go.touch()
        until(lambda: len(told(service)) >= 2)
        lines = told(service)
        # A machine so slow that the command was given up says that, too.
        assert lines[1].startswith("email (me@example.org): given to CLARY_RULE_COMMAND")
    finally:
        go.touch()
        service.stop()
