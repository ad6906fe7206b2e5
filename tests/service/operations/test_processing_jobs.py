"""Rules through boto3: what a job says of them, and the processing jobs that they are."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from clary.service.requests.rule_configurations import Checker, checkers_of
from tests.service.operations.conftest import Bench, CreateJob
from tests.service.supervisor.rules.rule_jobs import custom_rule, rule
from tests.waiting import until

HOOK = {"S3OutputPath": "s3://bucket/debug"}


def checkers(bench: Bench, name: str) -> tuple[Checker, ...]:
    spec = bench.spec(name)
    return checkers_of(spec.request, spec.directory.root)


def statuses(bench: Bench, name: str) -> dict[str, dict[str, Any]]:
    told = bench.client("sagemaker").describe_training_job(TrainingJobName=name)
    return {one["RuleConfigurationName"]: one for one in told["DebugRuleEvaluationStatuses"]}


def fault(call: Any, **parameters: Any) -> str:
    with pytest.raises(ClientError) as error:
        call(**parameters)
    assert error.value.response["Error"]["Code"] == "ValidationException"
    message: str = error.value.response["Error"]["Message"]
    return message


def test_a_job_tells_how_its_rules_stand(bench: Bench, create_job: CreateJob) -> None:
    sagemaker = bench.client("sagemaker")
    rules = [rule("VanishingGradient"), rule("second", threshold="1e-6"), custom_rule("own")]
    create_job("ruled", DebugHookConfig=HOOK, DebugRuleConfigurations=rules)
    bench.reach_rules("ruled")
    before = statuses(bench, "ruled")
    assert [one["RuleEvaluationStatus"] for one in before.values()] == ["InProgress"] * 3
    built_in, own = checkers(bench, "ruled")
    details = (
        "RuleEvaluationConditionMet: Evaluation of the rule VanishingGradient at step 5 resulted "
        "in the condition being met\n"
    )
    bench.executor.checkers.say(built_in, "VanishingGradient", "IssuesFound", details)
    bench.executor.checkers.say(own, "own", "Error", "ValueError: mine")
    bench.finish("ruled")
    told = sagemaker.describe_training_job(TrainingJobName="ruled")
    assert told["TrainingJobStatus"] == "Completed"
    assert told["DebugRuleConfigurations"] == rules
    after = statuses(bench, "ruled")
    assert {name: one["RuleEvaluationStatus"] for name, one in after.items()} == {
        "VanishingGradient": "IssuesFound",
        "second": "NoIssuesFound",
        "own": "Error",
    }
    assert after["VanishingGradient"]["StatusDetails"] == details
    assert after["own"]["LastModifiedTime"] >= before["own"]["LastModifiedTime"]
    (found,) = sagemaker.search(
        Resource="TrainingJob",
        SearchExpression={"Filters": [{"Name": "TrainingJobName", "Value": "ruled"}]},
    )["Results"]
    assert found["TrainingJob"]["DebugRuleEvaluationStatuses"] == list(after.values())

    described = [
        sagemaker.describe_processing_job(
            ProcessingJobName=one["RuleEvaluationJobArn"].rpartition("/")[2]
        )
        for one in after.values()
    ]
    assert [one["ProcessingJobStatus"] for one in described] == ["Completed", "Completed", "Failed"]
    first, _, last = described
    assert first["ExitMessage"] == details
    assert last["FailureReason"] == "ValueError: mine"
    assert first["TrainingJobArn"] == told["TrainingJobArn"]
    assert first["ProcessingJobArn"] == after["VanishingGradient"]["RuleEvaluationJobArn"]
    assert first["Environment"]["rule_to_invoke"] == "VanishingGradient"
    assert first["AppSpecification"]["ImageUri"] == rules[0]["RuleEvaluatorImage"]
    assert first["ProcessingStartTime"] <= first["ProcessingEndTime"]
    (source,) = first["ProcessingInputs"]
    assert source["S3Input"]["S3Uri"] == "s3://bucket/debug/ruled/debug-output"
    (output,) = first["ProcessingOutputConfig"]["Outputs"]
    assert output["S3Output"]["S3Uri"] == "s3://bucket/out/ruled/rule-output/VanishingGradient"


def test_a_job_without_rules_tells_of_none(bench: Bench, create_job: CreateJob) -> None:
    create_job("unruled", DebugHookConfig=HOOK)
    told = bench.client("sagemaker").describe_training_job(TrainingJobName="unruled")
    assert "DebugRuleEvaluationStatuses" not in told
    bench.finish("unruled")


def test_processing_jobs_are_listed_in_pages_and_stopped_alone(
    bench: Bench, create_job: CreateJob
) -> None:
    sagemaker = bench.client("sagemaker")
    create_job("listed", DebugRuleConfigurations=[rule(f"rule-{number}") for number in range(3)])
    bench.reach_rules("listed")

    def names(**asked: Any) -> list[str]:
        pages = sagemaker.get_paginator("list_processing_jobs").paginate(
            NameContains="listed-", PaginationConfig={"PageSize": 1}, **asked
        )
        return [
            one["ProcessingJobName"] for page in pages for one in page["ProcessingJobSummaries"]
        ]

    every = names(SortBy="Name", SortOrder="Ascending")
    assert [name.rpartition("-")[0] for name in every] == [
        f"listed-rule-{number}" for number in range(3)
    ]
    assert names(SortBy="Name", SortOrder="Descending") == every[::-1]
    assert names(StatusEquals="Completed") == []
    sagemaker.stop_processing_job(ProcessingJobName=every[0])
    until(lambda: names(StatusEquals="Stopped") == every[:1])
    assert statuses(bench, "listed")["rule-0"]["RuleEvaluationStatus"] == "Stopped"
    refused = fault(sagemaker.stop_processing_job, ProcessingJobName=every[0])
    assert refused.endswith("the processing job is in status Stopped.")
    bench.finish("listed")
    assert statuses(bench, "listed")["rule-1"]["RuleEvaluationStatus"] == "NoIssuesFound"
    for call in (sagemaker.describe_processing_job, sagemaker.stop_processing_job):
        told = fault(call, ProcessingJobName="nobody")
        assert told == "Could not find requested job with name: nobody"


BUILT_IN = rule("r")
CASES = [
    ([rule("r"), rule("r")], "RuleConfigurationName 'r' is used twice"),
    ([rule("r", rule_to_invoke="")], "must hold rule_to_invoke"),
    ([rule("r", rule_to_invoke="VanishingGradients")], "did you mean VanishingGradient?"),
    ([rule("r", rule_to_invoke="TreeDepth")], "rule TreeDepth is not offered"),
    ([rule("r", rule_to_invoke="LowGPUUtilization")], "put it into ProfilerRuleConfigurations"),
    ([rule("r", thresold="1")], "has no parameter 'thresold': did you mean threshold?"),
    ([rule("r", threshold="many")], "threshold of VanishingGradient is 'many'"),
    ([rule("r", rule_to_invoke="SimilarAcrossRuns")], "needs other_trial_0"),
    ([rule("r", action_json="{")], "write JSON, such as"),
    ([rule("r", [{"name": "restart"}])], "the actions are stoptraining, email and sms"),
    ([{**BUILT_IN, "RuleEvaluatorImage": "me/rules:1"}], "'me/rules:1' is not offered by Clary"),
    ([{**BUILT_IN, "S3OutputPath": "https://here/x"}], "S3OutputPath: 'https://here/x' is no S3"),
    ([custom_rule("own", source_s3_uri="")], "must hold source_s3_uri"),
    ([custom_rule("own", source_s3_uri="s3://b/rules.zip")], "whose name ends in .py"),
]


@pytest.mark.parametrize(("rules", "told"), CASES, ids=[told for _, told in CASES])
def test_rules_that_cannot_be_are_refused(
    bench: Bench, create_job: CreateJob, rules: list[dict[str, Any]], told: str
) -> None:
    assert told in fault(create_job, name="never", DebugRuleConfigurations=rules)


HOOKS = [
    ({"S3OutputPath": "https://x/y"}, "DebugHookConfig.S3OutputPath: 'https://x/y' is no S3 URI"),
    ({**HOOK, "LocalPath": "/tmp/tensors"}, "give a folder under /opt/ml"),
    ({**HOOK, "CollectionConfigurations": [{}]}, "has no CollectionName"),
]


@pytest.mark.parametrize(("hook", "told"), HOOKS, ids=[told for _, told in HOOKS])
def test_hooks_that_cannot_be_are_refused(
    bench: Bench, create_job: CreateJob, hook: dict[str, Any], told: str
) -> None:
    assert told in fault(create_job, name="never", DebugHookConfig=hook)


def test_all_that_is_wrong_with_rules_is_told_at_once(bench: Bench, create_job: CreateJob) -> None:
    rules = [rule("a", rule_to_invoke="NoSuchRule"), rule("b", threshold="-1")]
    told = fault(create_job, name="never", DebugRuleConfigurations=rules)
    assert "Rule configuration 'a': there is no built-in rule 'NoSuchRule'" in told
    assert "Rule configuration 'b': parameter threshold" in told


@pytest.mark.parametrize(
    "image",
    [
        "503895931360.dkr.ecr.us-east-1.amazonaws.com/sagemaker-debugger-rules:latest",
        "DEFAULT_RULE_EVALUATOR_IMAGE",
        "sagemaker-debugger-rules",
        "1.dkr.ecr.cn-north-1.amazonaws.com.cn/sagemaker-debugger-rules@sha256:0",
    ],
)
def test_built_in_rules_of_any_region_are_taken(
    bench: Bench, create_job: CreateJob, image: str
) -> None:
    name = f"image-{abs(hash(image))}"
    create_job(name, DebugRuleConfigurations=[{**rule("r"), "RuleEvaluatorImage": image}])
    bench.finish(name)


def test_actions_are_read_as_the_sdk_writes_them(bench: Bench, create_job: CreateJob) -> None:
    # Its own way to serialize them puts a backslash before each quote.
    text = '[{\\"name\\": \\"stoptraining\\", \\"training_job_prefix\\": \\"acts\\"}]'
    with pytest.raises(ValueError, match="Expecting"):
        json.loads(text)
    create_job("acts", DebugRuleConfigurations=[rule("r", action_json=text)])
    bench.reach_rules("acts")
    bench.executor.checkers.say(checkers(bench, "acts")[0], "r", "IssuesFound", "at step 1")
    bench.reach("acts", "Stopped")
