"""What `kill -9` of the service and of checkers does to rules: nothing is lost, or done twice.

`CLARY_CRASH_ROUNDS` sets how often each test kills; the moments are drawn from a seed.
"""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from clary.formats.findings import read_findings
from clary.formats.rule_request import results_folder
from tests.service.conftest import RunningService
from tests.service.ruled import BOTH, FOREVER, create, describe, end, rule, statuses, wait_for
from tests.waiting import until

ROUNDS = int(os.environ.get("CLARY_CRASH_ROUNDS", "4"))

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture
def telling_service(tmp_path: Path) -> Iterator[RunningService]:
    """A service whose rules tell people by appending a line to a file."""
    command = f"sleep 0.3; cat >> {tmp_path}/told; echo >> {tmp_path}/told"
    running = RunningService(tmp_path / "home", {"CLARY_RULE_COMMAND": command})
    running.start()
    running.client("s3").create_bucket(Bucket="ruled")
    try:
        yield running
    finally:
        running.stop()


def told(service: RunningService) -> list[str]:
    """Which jobs were told of."""
    path = service.home.parent / "told"
    lines = path.read_text().splitlines() if path.exists() else []
    return [json.loads(line)["training_job"] for line in lines if line]


def kill_checkers(service: RunningService, name: str) -> int:
    """Kill what checks the rules of a job; how many processes that were."""
    own = str(service.settings.jobs_dir / name)
    victims = [
        process
        for process in psutil.process_iter(["cmdline"])
        if "clary.jobs.check_rules" in (process.info["cmdline"] or ())
        and process.info["cmdline"][-1].startswith(own + "/")
    ]
    for victim in victims:
        victim.kill()
    return len(victims)


# What is there when the service is killed, wherever the machine is slow: the request, a verdict, a
# message that is under way, one that has arrived. Below the directory of a job.
_MOMENTS = (
    "rules/request.json",
    "rules/explodes/findings.jsonl",
    "rules.actions/*/*/sending",
    "rules.actions/*/*/outcome.json",
)


def wait_until(pattern: str, root: Path) -> None:
    """Wait until a file of a job is there."""
    until(lambda: any(root.glob(pattern)), lambda: pattern)


def test_actions_are_done_once_whenever_the_service_is_killed(
    telling_service: RunningService,
) -> None:
    service = telling_service
    chance = random.Random(20261121)
    names = [f"acts-{number}" for number in range(ROUNDS)]
    for number, name in enumerate(names):
        actions = [{"name": "email", "endpoint": "me@example.org"}, {"name": "stoptraining"}]
        fires = rule(
            "explodes", "ExplodingTensor", tensor_regex="other", action_json=json.dumps(actions)
        )
        create(service, name, [fires], then=FOREVER)
        wait_until(_MOMENTS[number % len(_MOMENTS)], service.settings.jobs_dir / name)
        time.sleep(chance.uniform(0.0, 0.4))
        service.kill()
        service.restart()
        job = end(service, name)
        assert job["TrainingJobStatus"] == "Stopped"
        assert statuses(job) == {"explodes": "IssuesFound"}
    until(lambda: len(told(service)) >= len(names))  # a job does not wait for its messages
    assert sorted(told(service)) == names


def test_a_checker_that_is_killed_is_started_again(telling_service: RunningService) -> None:
    service = telling_service
    create(service, "killed", BOTH, then=FOREVER)
    wait_for(service, "killed", "explodes", "IssuesFound")
    until(lambda: kill_checkers(service, "killed"))
    service.client("sagemaker").stop_training_job(TrainingJobName="killed")
    job = end(service, "killed")
    assert statuses(job) == {"explodes": "IssuesFound", "falls": "NoIssuesFound"}
    results = results_folder(service.settings.jobs_dir / "killed" / "rules", "explodes")
    assert len([one for one in read_findings(results) if one.kind == "issue"]) == 1


def test_a_checker_that_is_killed_again_and_again_is_given_up(
    telling_service: RunningService,
) -> None:
    service = telling_service
    create(service, "hunted", BOTH, ill=False, then=FOREVER)
    wait_for(service, "hunted", "falls", "InProgress")

    def given_up() -> bool:
        kill_checkers(service, "hunted")
        return statuses(describe(service, "hunted"))["falls"] != "InProgress"

    until(given_up, pause_s=0.1)
    job = describe(service, "hunted")
    assert statuses(job) == {"explodes": "Error", "falls": "Error"}
    assert job["TrainingJobStatus"] == "InProgress"
    service.client("sagemaker").stop_training_job(TrainingJobName="hunted")
    assert end(service, "hunted")["TrainingJobStatus"] == "Stopped"
