"""Training jobs through boto3."""

from __future__ import annotations

import math
import threading
import time
from typing import Any

import pytest
from botocore.exceptions import ClientError

from clary.service.operations.patience import WAITER_S
from clary.service.operations.training_job_checks import HOST_LIMIT
from tests.service.operations.conftest import Bench, CreateJob
from tests.waiting import PATIENCE_S

# How long a waiter of botocore pauses between two questions.
BETWEEN_S = 120.0
ARN = "arn:aws:sagemaker:us-east-1:000000000000:training-job/"


def fault(call: Any, **parameters: Any) -> dict[str, Any]:
    with pytest.raises(ClientError) as error:
        call(**parameters)
    found: dict[str, Any] = error.value.response["Error"]
    return found


def test_a_job_s_description_from_its_creation_to_its_end(
    bench: Bench, create_job: CreateJob
) -> None:
    sagemaker = bench.client("sagemaker")
    request = {
        "HyperParameters": {"epochs": "3", "optimizer": '"adam"'},
        "InputDataConfig": [
            {
                "ChannelName": "training",
                "DataSource": {
                    "S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://bucket/data/"}
                },
            }
        ],
        "Environment": {"MODE": "quick"},
        "Tags": [{"Key": "team", "Value": "vision"}],
        "DebugHookConfig": {"S3OutputPath": "s3://bucket/debug"},
        "ProfilerConfig": {"S3OutputPath": "s3://bucket/profile"},
        "EnableNetworkIsolation": True,
    }
    assert create_job("told", **request)["TrainingJobArn"] == ARN + "told"
    bench.reach("told", "Training")
    running = sagemaker.describe_training_job(TrainingJobName="told")
    assert running["TrainingJobStatus"] == "InProgress"
    assert running["SecondaryStatus"] == "Training"
    assert "TrainingEndTime" not in running
    assert running["LastModifiedTime"] >= running["CreationTime"]
    for transition in running["SecondaryStatusTransitions"]:
        assert transition["StatusMessage"]
    bench.finish("told")
    done = sagemaker.describe_training_job(TrainingJobName="told")
    for name in ("HyperParameters", "Environment", "DebugHookConfig", "EnableNetworkIsolation"):
        assert done[name] == request[name]
    assert done["TrainingJobArn"] == ARN + "told"
    assert done["InputDataConfig"][0]["CompressionType"] == "None"
    assert done["OutputDataConfig"]["S3OutputPath"] == "s3://bucket/out"
    assert done["ModelArtifacts"]["S3ModelArtifacts"].endswith("told/output/model.tar.gz")
    took_s = (done["TrainingEndTime"] - done["TrainingStartTime"]).total_seconds()
    assert done["TrainingTimeInSeconds"] == done["BillableTimeInSeconds"] == math.ceil(took_s)
    assert done["CreationTime"] <= done["TrainingStartTime"] <= done["TrainingEndTime"]
    assert done["ProfilingStatus"] == "Enabled"
    assert "Tags" not in done
    tags = sagemaker.list_tags(ResourceArn=ARN + "told")["Tags"]
    assert tags == [{"Key": "team", "Value": "vision"}]


def test_a_failure_is_shown_when_the_job_has_ended(bench: Bench, create_job: CreateJob) -> None:
    create_job("fails")
    bench.finish("fails", 1, "AlgorithmError: ExecuteUserScriptError:\nExitCode 1")
    told = bench.client("sagemaker").describe_training_job(TrainingJobName="fails")
    assert told["TrainingJobStatus"] == "Failed"
    assert told["FailureReason"] == "AlgorithmError: ExecuteUserScriptError:\nExitCode 1"


def test_names_are_unique(bench: Bench, create_job: CreateJob) -> None:
    create_job("twice")
    with pytest.raises(ClientError) as error:
        create_job("twice")
    assert error.value.response["Error"]["Code"] == "ResourceInUse"
    assert ARN + "twice" in error.value.response["Error"]["Message"]


def test_what_is_not_there_is_a_validation_exception(bench: Bench) -> None:
    sagemaker = bench.client("sagemaker")
    for call in (sagemaker.describe_training_job, sagemaker.stop_training_job):
        told = fault(call, TrainingJobName="nobody")
        assert told == {
            "Code": "ValidationException",
            "Message": "Requested resource not found.",
        }
    told = fault(sagemaker.delete_training_job, TrainingJobName="nobody")
    assert told["Code"] == "ResourceNotFound"


CHANNEL = {"ChannelName": "a"}


def source(**changes: Any) -> dict[str, Any]:
    return {
        "S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://b/k", **changes},
    }


SERVERLESS = {
    "BaseModelArn": "arn:aws:sagemaker:us-east-1:aws:hub-content/SageMakerPublicHub/Model/m/1.0.0",
    "JobType": "FineTuning",
}


def algorithm(**changes: Any) -> dict[str, Any]:
    return {"TrainingImage": "image", "TrainingInputMode": "File", **changes}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ResourceConfig": None}, "ResourceConfig must be set."),
        (
            {"ServerlessJobConfig": SERVERLESS},
            "ServerlessJobConfig is not offered by Clary: give ResourceConfig instead.",
        ),
        (
            {"AlgorithmSpecification": {"TrainingInputMode": "File"}},
            "Either TrainingImage or AlgorithmName must be set in AlgorithmSpecification.",
        ),
        (
            {
                "AlgorithmSpecification": algorithm(
                    MetricDefinitions=[{"Name": "loss", "Regex": "loss=([0-9"}]
                )
            },
            "The regex 'loss=([0-9' of metric 'loss' is invalid: "
            "unterminated character set at position 10.",
        ),
        (
            {
                "AlgorithmSpecification": algorithm(
                    MetricDefinitions=[{"Name": "loss", "Regex": "loss=.*"}]
                )
            },
            "The regex 'loss=.*' of metric 'loss' has no capture group: put the number's part "
            "in parentheses.",
        ),
        (
            {
                "InputDataConfig": [
                    {**CHANNEL, "DataSource": source(), "InputMode": "Pipe"},
                    {**CHANNEL, "DataSource": source(S3DataType="AugmentedManifestFile")},
                ]
            },
            "Channel 'a' is given twice. AugmentedManifestFile needs Pipe mode; channel 'a' has "
            "File. AugmentedManifestFile needs AttributeNames in channel 'a'.",
        ),
        (
            {
                "InputDataConfig": [
                    {
                        **CHANNEL,
                        "DataSource": source(S3DataType="ManifestFile"),
                        "InputMode": "FastFile",
                    }
                ]
            },
            "FastFile mode needs S3DataType S3Prefix; channel 'a' has ManifestFile.",
        ),
        (
            {
                "EnableManagedSpotTraining": True,
                "StoppingCondition": {"MaxRuntimeInSeconds": 9, "MaxWaitTimeInSeconds": 8},
            },
            "Invalid MaxWaitTimeInSeconds. It must be present and be greater than or equal to "
            "MaxRuntimeInSeconds.",
        ),
        (
            {
                "ResourceConfig": {
                    "VolumeSizeInGB": 1,
                    "InstanceGroups": [
                        {
                            "InstanceType": "ml.m5.large",
                            "InstanceCount": count,
                            "InstanceGroupName": n,
                        }
                        for n, count in (("a", 1), ("b", HOST_LIMIT))
                    ],
                }
            },
            f"{HOST_LIMIT + 1} instances are asked for, and a training job on this machine has at "
            f"most {HOST_LIMIT}: lower InstanceCount.",
        ),
        (
            {"InputDataConfig": [{"ChannelName": "..", "DataSource": source()}]},
            "Channel '..' would not be a folder of its own: choose another name.",
        ),
        (
            {"Tags": [{"Key": "a", "Value": "1"}, {"Key": "a", "Value": "2"}]},
            "Duplicate tag keys found: a.",
        ),
    ],
)
def test_what_the_model_allows_and_the_service_does_not(
    create_job: CreateJob, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ClientError) as error:
        create_job("refused", **changes)
    assert error.value.response["Error"] == {"Code": "ValidationException", "Message": message}


def test_stopping_updating_and_deleting(bench: Bench, create_job: CreateJob) -> None:
    sagemaker = bench.client("sagemaker")
    create_job("cycle", ProfilerConfig={"S3OutputPath": "s3://bucket/profile"})
    bench.reach("cycle", "Training")
    in_use = fault(sagemaker.delete_training_job, TrainingJobName="cycle")
    assert in_use["Code"] == "ResourceInUse"
    sagemaker.update_training_job(TrainingJobName="cycle", ProfilerConfig={"DisableProfiler": True})
    told = sagemaker.describe_training_job(TrainingJobName="cycle")
    assert told["ProfilingStatus"] == "Disabled"
    assert told["ProfilerConfig"] == {
        "S3OutputPath": "s3://bucket/profile",
        "DisableProfiler": True,
    }
    sagemaker.stop_training_job(TrainingJobName="cycle")
    bench.reach("cycle", "Stopped")
    told = fault(sagemaker.stop_training_job, TrainingJobName="cycle")
    assert told["Message"] == (
        "The request was rejected because the training job is in status Stopped."
    )
    assert (
        fault(sagemaker.update_training_job, TrainingJobName="cycle", ProfilerConfig={})["Code"]
        == "ValidationException"
    )
    sagemaker.delete_training_job(TrainingJobName="cycle")
    bench.supervisor.wait_until("cycle", lambda job: False, PATIENCE_S)
    fault(sagemaker.describe_training_job, TrainingJobName="cycle")
    create_job("cycle")


def test_lists_filter_sort_and_page(bench: Bench, create_job: CreateJob) -> None:
    sagemaker = bench.client("sagemaker")
    for number in range(7):
        create_job(f"listed-{number}")
        bench.finish(f"listed-{number}", number == 3, "AlgorithmError: no")

    def names(**asked: Any) -> list[str]:
        pages = sagemaker.get_paginator("list_training_jobs").paginate(
            NameContains="LISTED", **asked
        )
        return [job["TrainingJobName"] for page in pages for job in page["TrainingJobSummaries"]]

    everyone = [f"listed-{number}" for number in range(7)]
    assert names(PaginationConfig={"PageSize": 2}) == everyone
    assert names(MaxResults=3, SortOrder="Descending") == everyone[::-1]
    assert names(SortBy="Name", SortOrder="Descending") == everyone[::-1]
    assert names(StatusEquals="Failed") == ["listed-3"]
    assert names(SortBy="Status")[-1] == "listed-3"
    created = sagemaker.describe_training_job(TrainingJobName="listed-4")["CreationTime"]
    assert names(CreationTimeAfter=created) == everyone[5:]
    assert names(CreationTimeBefore=created) == everyone[:4]
    token = fault(sagemaker.list_training_jobs, NextToken="nonsense")
    assert token["Code"] == "ValidationException"


def test_tags_are_added_listed_and_deleted(bench: Bench, create_job: CreateJob) -> None:
    sagemaker = bench.client("sagemaker")
    arn = create_job("tagged")["TrainingJobArn"]
    many = [{"Key": f"k{number:02}", "Value": str(number)} for number in range(50)]
    sagemaker.add_tags(ResourceArn=arn, Tags=many)
    sagemaker.add_tags(ResourceArn=arn, Tags=[{"Key": "k00", "Value": "new"}])
    pages = sagemaker.get_paginator("list_tags").paginate(ResourceArn=arn, MaxResults=50)
    found = [tag for page in pages for tag in page["Tags"]]
    assert found == [{"Key": "k00", "Value": "new"}, *many[1:]]
    full = fault(sagemaker.add_tags, ResourceArn=arn, Tags=[{"Key": "one more", "Value": ""}])
    assert full["Code"] == "ValidationException"
    sagemaker.delete_tags(ResourceArn=arn, TagKeys=[tag["Key"] for tag in many[2:]] + ["none"])
    assert len(sagemaker.list_tags(ResourceArn=arn)["Tags"]) == 2
    fault(sagemaker.list_tags, ResourceArn=arn + "-other")


def test_search_compares_properties_tags_and_metrics(bench: Bench, create_job: CreateJob) -> None:
    sagemaker = bench.client("sagemaker")
    for number in range(3):
        create_job(
            f"sought-{number}",
            HyperParameters={"lr": f"0.{number}"},
            Tags=[{"Key": "round", "Value": str(number)}],
        )
        bench.finish(f"sought-{number}")

    def names(*filters: dict[str, str], **expression: Any) -> list[str]:
        chosen = [{"Name": "TrainingJobName", "Operator": "Contains", "Value": "sought"}]
        answer = sagemaker.search(
            Resource="TrainingJob",
            SearchExpression={"Filters": [*chosen, *filters], **expression},
            SortBy="CreationTime",
            SortOrder="Ascending",
        )
        return [one["TrainingJob"]["TrainingJobName"] for one in answer["Results"]]

    assert names() == ["sought-0", "sought-1", "sought-2"]
    assert names({"Name": "HyperParameters.lr", "Operator": "Equals", "Value": "0.1"}) == [
        "sought-1"
    ]
    assert names({"Name": "Tags.round", "Operator": "In", "Value": "0,2"}) == [
        "sought-0",
        "sought-2",
    ]
    assert names({"Name": "TrainingTimeInSeconds", "Operator": "LessThan", "Value": "1"}) == []
    assert names({"Name": "FailureReason", "Operator": "NotExists"}) == names()
    inner = [{"Filters": [{"Name": "Tags.round", "Operator": "Equals", "Value": "1"}]}]
    assert names(SubExpressions=inner) == ["sought-1"]
    assert fault(sagemaker.search, Resource="Experiment")["Code"] == "ValidationException"


def test_everything_that_a_request_may_hold_is_echoed_and_found(
    bench: Bench, create_job: CreateJob
) -> None:
    sagemaker = bench.client("sagemaker")
    rule = {
        "RuleConfigurationName": "r",
        "RuleEvaluatorImage": "sagemaker-debugger-rules:latest",
        "RuleParameters": {"rule_to_invoke": "VanishingGradient"},
    }
    of_profiler = {
        **rule,
        "RuleConfigurationName": "report",
        "RuleParameters": {"rule_to_invoke": "ProfilerReport"},
    }
    request = {
        "CheckpointConfig": {"S3Uri": "s3://bucket/checkpoints"},
        "DebugHookConfig": {"S3OutputPath": "s3://bucket/debug"},
        "DebugRuleConfigurations": [rule],
        "TensorBoardOutputConfig": {"S3OutputPath": "s3://bucket/board"},
        "ExperimentConfig": {"ExperimentName": "e"},
        "ProfilerConfig": {"S3OutputPath": "s3://bucket/profile"},
        "ProfilerRuleConfigurations": [of_profiler],
        "RetryStrategy": {"MaximumRetryAttempts": 2},
        "RemoteDebugConfig": {"EnableRemoteDebug": True},
        "InfraCheckConfig": {"EnableInfraCheck": True},
        "SessionChainingConfig": {"EnableSessionTagChaining": True},
        "VpcConfig": {"SecurityGroupIds": ["sg-1"], "Subnets": ["subnet-1"]},
        "EnableInterContainerTrafficEncryption": True,
    }
    create_job("everything", **request)
    bench.finish("everything")
    told = sagemaker.describe_training_job(TrainingJobName="everything")
    (found,) = sagemaker.search(
        Resource="TrainingJob",
        SearchExpression={
            "Filters": [{"Name": "TrainingJobName", "Operator": "Equals", "Value": "everything"}]
        },
    )["Results"]
    shape = sagemaker.meta.service_model.shape_for("TrainingJob").members
    for name, value in request.items():
        if name == "SessionChainingConfig":
            continue
        assert told[name] == value
        assert found["TrainingJob"].get(name) == (value if name in shape else None)


def test_a_waiter_returns_with_the_job_and_others_are_answered_at_once(
    bench: Bench, create_job: CreateJob
) -> None:
    sagemaker = bench.client("sagemaker")
    create_job("waited")
    bench.reach("waited", "Training")
    begun = time.monotonic()
    sagemaker.describe_training_job(TrainingJobName="waited")
    assert time.monotonic() - begun < WAITER_S
    threading.Timer(0.5, bench.executor.end, ["waited"]).start()
    waiter = sagemaker.get_waiter("training_job_completed_or_stopped")
    waiter.wait(TrainingJobName="waited")
    assert time.monotonic() - begun < BETWEEN_S


def test_the_first_question_of_sdk_2_is_answered_with_the_end_of_a_short_job(
    bench: Bench, create_job: CreateJob
) -> None:
    sagemaker = bench.client("sagemaker", user_agent_extra="lib/AWS-SageMaker-Python-SDK#2.257.7")
    create_job("short")
    bench.reach("short", "Training")
    threading.Timer(0.5, bench.executor.end, ["short"]).start()
    told = sagemaker.describe_training_job(TrainingJobName="short")
    assert told["TrainingJobStatus"] == "Completed"
