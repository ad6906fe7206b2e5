"""Rules as real processes: what they are told, how they live and how they end."""

from __future__ import annotations

import json
import time
from typing import Any

import psutil
import pytest

from clary.errors import ClaryError, StorageError
from clary.formats.findings import RuleStatus, read_findings
from clary.formats.rule_request import RuleRequest
from clary.formats.tensor_log import TensorLogWriter
from clary.formats.tensor_log.entries import Capture, Mode, Step
from clary.service.executors.executor import TrainingJobSpec
from clary.service.executors.local_processes import LocalProcesses
from clary.service.executors.rule_checkers import PROGRAM
from clary.service.requests.rule_configurations import (
    Action,
    Checker,
    checkers_of,
    result_folder,
    rules_of,
)
from tests.service.executors.conftest import Bench, MakeExecutor
from tests.service.supervisor.rules.rule_jobs import custom_rule, rule
from tests.waiting import until

EXPLODES = {"rule_to_invoke": "ExplodingTensor", "tensor_regex": "loss"}
OWN = """
from clary.rules import Rule

class Mine(Rule):
    def judge(self, window):
        return [self.issue(window, step, "seen") for step in window.new("loss")][:1]
"""


def ruled(bench: Bench, name: str, *rules: dict[str, Any], **request: Any) -> TrainingJobSpec:
    hook = {"S3OutputPath": "s3://bench/debug"}
    return bench.job(name, DebugHookConfig=hook, DebugRuleConfigurations=list(rules), **request)


def checkers(job: TrainingJobSpec) -> tuple[Checker, ...]:
    return checkers_of(job.request, job.directory.root)


def write(job: TrainingJobSpec, *losses: float) -> None:
    writer = TensorLogWriter(job.directory.root / "output" / "tensors")
    for number, loss in enumerate(losses):
        step = Step(number, Mode.TRAIN, number, time.time())
        writer.write(Capture(step, scalars={"loss": loss}))
    writer.flush()
    writer.close()


def process_of(checker: Checker) -> psutil.Process:
    """Its process; for a moment after it was started it is still a copy of this one."""
    children = psutil.Process().children
    return until(lambda: next((one for one in children() if runs(one, checker)), None))


def runs(process: psutil.Process, checker: Checker) -> bool:
    try:
        command = process.cmdline()
    except psutil.Error:  # it has ended
        return False
    return PROGRAM in command and command[-1] == str(checker.folder)


def said(checker: Checker, configuration: str) -> str:
    status = RuleStatus.read(checker.result(configuration))
    return "" if status is None else status.status


def test_it_judges_while_the_training_runs_and_ends_with_it(
    bench: Bench, executor: LocalProcesses
) -> None:
    job = ruled(bench, "judged", rule("r", **EXPLODES), rule("falls", **EXPLODES))
    (checker,) = checkers(job)
    executor.checkers.start(job, checker)
    assert executor.checkers.lives(checker)
    assert process_of(checker).nice() >= 10
    write(job, 0.5, float("nan"), 0.4)
    until(lambda: said(checker, "r") == "IssuesFound")
    executor.checkers.training_ended(job)
    until(lambda: not executor.checkers.lives(checker))
    executor.checkers.collect(job)
    stored = bench.store.info("bench", "out/judged/rule-output/r/status.json")
    assert json.loads(stored.path.read_text())["status"] == "IssuesFound"


def test_one_that_was_killed_goes_on_and_repeats_nothing(
    bench: Bench, executor: LocalProcesses
) -> None:
    job = ruled(bench, "again", rule("r", **EXPLODES))
    (checker,) = checkers(job)
    write(job, 0.5, float("nan"))
    for number in (1, 2):
        executor.checkers.start(job, checker)
        assert executor.checkers.starts(checker) == number
        until(lambda: said(checker, "r") != "")
        if executor.checkers.lives(checker):
            process_of(checker).kill()
        until(lambda: not executor.checkers.lives(checker))
    executor.checkers.training_ended(job)
    executor.checkers.start(job, checker)
    until(lambda: not executor.checkers.lives(checker))
    assert said(checker, "r") == "IssuesFound"
    assert len(read_findings(checker.result("r"))) == 1


def test_it_outlives_the_service_and_is_found_again(
    bench: Bench, make_executor: MakeExecutor
) -> None:
    job = ruled(bench, "outlives", rule("r", **EXPLODES))
    (checker,) = checkers(job)
    first = make_executor(warm=False)
    first.checkers.start(job, checker)
    until(lambda: said(checker, "r") == "InProgress")
    first.close()
    second = make_executor(warm=False)
    assert second.checkers.lives(checker)
    with pytest.raises(StorageError):
        second.checkers.start(job, checker)
    assert second.checkers.starts(checker) == 1
    second.checkers.end(checker)
    until(lambda: not second.checkers.lives(checker))
    assert said(checker, "r") == "Stopped"


@pytest.mark.parametrize("at_once", [False, True])
def test_it_is_ended_and_no_other_with_it(
    bench: Bench, executor: LocalProcesses, at_once: bool
) -> None:
    jobs = [ruled(bench, name, rule("r", **EXPLODES)) for name in ("ends", "ends-not")]
    pairs = [(job, checkers(job)[0]) for job in jobs]
    for job, checker in pairs:
        executor.checkers.start(job, checker)
        until(lambda checker=checker: said(checker, "r") == "InProgress")
    executor.checkers.end(pairs[0][1], at_once=at_once)
    until(lambda: not executor.checkers.lives(pairs[0][1]))
    assert said(pairs[0][1], "r") == ("InProgress" if at_once else "Stopped")
    assert executor.checkers.lives(pairs[1][1])
    executor.checkers.end(pairs[1][1])
    until(lambda: not executor.checkers.lives(pairs[1][1]))


@pytest.mark.parametrize("name", ["output.txt", ".output.txt", "request.json", "ended"])
def test_a_rule_is_called_as_anybody_likes(
    bench: Bench, executor: LocalProcesses, name: str
) -> None:
    job = ruled(bench, "named", rule(name, **EXPLODES))
    (checker,) = checkers(job)
    executor.checkers.start(job, checker)
    until(lambda: said(checker, name) == "InProgress")
    executor.checkers.end(checker)
    until(lambda: not executor.checkers.lives(checker))
    assert said(checker, name) == "Stopped"


def test_a_rule_is_stopped_beside_others(bench: Bench, executor: LocalProcesses) -> None:
    job = ruled(bench, "alone", rule("r", **EXPLODES), rule("other", **EXPLODES))
    (checker,) = checkers(job)
    executor.checkers.start(job, checker)
    until(lambda: said(checker, "other") == "InProgress")
    executor.checkers.stop_rule(checker, "r")
    until(lambda: said(checker, "r") == "Stopped")
    assert said(checker, "other") == "InProgress"
    executor.checkers.training_ended(job)
    until(lambda: not executor.checkers.lives(checker))


def test_a_rule_that_was_stopped_before_it_began_finds_nothing(
    bench: Bench, executor: LocalProcesses
) -> None:
    job = ruled(bench, "early", rule("r", **EXPLODES), rule("other", **EXPLODES))
    (checker,) = checkers(job)
    write(job, 0.5, float("nan"))
    executor.checkers.stop_rule(checker, "r")
    executor.checkers.start(job, checker)
    until(lambda: said(checker, "other") == "IssuesFound")
    assert said(checker, "r") == "Stopped"
    executor.checkers.training_ended(job)
    until(lambda: not executor.checkers.lives(checker))


def test_a_rule_of_one_s_own_comes_from_s3_and_is_seen_beside_the_others(
    bench: Bench, executor: LocalProcesses
) -> None:
    uri = bench.put("rules/mine.py", OWN)
    job = ruled(bench, "own", custom_rule("mine", source_s3_uri=uri))
    (checker,) = checkers(job)
    write(job, 0.5)
    executor.checkers.training_ended(job)
    executor.checkers.start(job, checker)
    until(lambda: not executor.checkers.lives(checker))
    assert said(checker, "mine") == "IssuesFound", executor.checkers.last_words(checker)
    seen = result_folder(job.directory.root, "mine")
    assert [finding.message for finding in read_findings(seen)] == ["seen"]
    executor.checkers.collect(job)
    assert bench.store.info("bench", "out/own/rule-output/mine/findings.jsonl")


def test_results_that_cannot_be_stored_are_told_and_the_others_are_stored(
    bench: Bench, executor: LocalProcesses
) -> None:
    nowhere = {**rule("r", **EXPLODES), "S3OutputPath": "s3://nowhere/rules"}
    job = ruled(bench, "stored", nowhere, rule("other", **EXPLODES))
    (checker,) = checkers(job)
    for one in ("r", "other"):
        (checker.result(one) / "log").parent.mkdir(parents=True)
        (checker.result(one) / "log").write_text("1 judged\n")
    log = job.directory.root / "logs" / "algo-1.log"
    log.parent.mkdir()
    executor.checkers.collect(job)
    assert bench.store.info("bench", "out/stored/rule-output/other/log")
    assert "clary: what the rules found is not all in S3:" in log.read_text()


def test_a_file_that_is_not_there_is_told(bench: Bench, executor: LocalProcesses) -> None:
    job = ruled(bench, "none", custom_rule("mine", source_s3_uri="s3://bench/none.py"))
    with pytest.raises(ClaryError, match="none"):
        executor.checkers.start(job, checkers(job)[0])


def test_what_it_is_told(bench: Bench, executor: LocalProcesses) -> None:
    bench.put("earlier/debug-output/collections/worker_0.json", "{}")
    similar = rule(
        "similar",
        rule_to_invoke="SimilarAcrossRuns",
        tensor_regex=".*",
        other_trial_0="s3://bench/earlier/debug-output",
        other_trial_1="s3://elsewhere/debug-output",
    )
    two = {"InstanceType": "ml.m5.large", "InstanceCount": 2}
    job = ruled(bench, "told", similar, ResourceConfig=two, HyperParameters={"epochs": "3"})
    (checker,) = checkers(job)
    executor.checkers.training_ended(job)
    executor.checkers.start(job, checker)
    until(lambda: not executor.checkers.lives(checker))
    request = RuleRequest.read(checker.folder)
    root = job.directory.root
    assert request.tensors == (
        root / "output" / "tensors",
        root / "hosts" / "algo-2" / "output" / "tensors",
    )
    (told,) = request.rules
    assert told.parameters == {"tensor_regex": ".*"}
    assert told.others == (
        str(bench.store.folder("bench", "earlier/debug-output/")),
        "s3://elsewhere/debug-output",
    )
    assert request.learning["hyperparameters"] == {"epochs": "3"}


def test_what_the_built_in_algorithm_says_of_itself(bench: Bench, executor: LocalProcesses) -> None:
    job = ruled(
        bench,
        "learns",
        rule("r", **EXPLODES),
        AlgorithmSpecification={"TrainingImage": "clary/image-classification"},
        HyperParameters={"trainable_layers": "all", "weights": "none"},
    )
    (checker,) = checkers(job)
    executor.checkers.training_ended(job)
    executor.checkers.start(job, checker)
    until(lambda: not executor.checkers.lives(checker))
    learning = RuleRequest.read(checker.folder).learning
    assert (learning["pretrained"], learning["frozen"]) == (False, False)


def test_actions_are_read_in_all_their_forms() -> None:
    def actions(**parameters: str) -> tuple[Action, ...]:
        request = {
            "TrainingJobName": "job",
            "OutputDataConfig": {"S3OutputPath": "s3://b/out"},
            "DebugRuleConfigurations": [rule("r", **parameters)],
        }
        return rules_of(request)[0].actions

    stop = Action("stoptraining", "job-")
    assert actions() == ()
    for text in (
        '[{"name": "stoptraining", "training_job_prefix": "job-"}]',
        '{"name": "stoptraining", "training_job_prefix": "job-"}',
        '[{"name": "stoptraining", "parameters": {"training_job_prefix": "job-"}}]',
        '[{\\"name\\": \\"stoptraining\\", \\"training_job_prefix\\": \\"job-\\"}]',
    ):
        assert actions(action_json=text) == (stop,)
    stalled = {"rule_to_invoke": "StalledTrainingRule", "stop_training_on_fire": "True"}
    assert actions(**stalled) == (Action("stoptraining", None),)
    assert actions(**stalled, training_job_name_prefix="job-") == (stop,)
    email = actions(action_json='[{"name": "email", "endpoint": "me@example.org"}]')
    assert email == (Action("email", "me@example.org"),)
