"""Tuning jobs through boto3, where nothing really runs: lists, tags, patience."""

from __future__ import annotations

import time
from typing import Any

import pytest
from botocore.exceptions import ClientError

from clary.service.operations.patience import tuning_patience_s
from tests.service.operations.conftest import Bench
from tests.service.operations.tuning_requests import (
    PATIENCE_S,
    create,
    describe,
    end,
    trials_of,
)

SDK_2 = "lib/AWS-SageMaker-Python-SDK#2.257.7"


def test_names_have_32_characters_at_most_and_are_unique(bench: Bench) -> None:
    with pytest.raises(ClientError, match="less than or equal to 32"):
        create(bench, "n" * 33)
    arn = create(bench, "unique")
    with pytest.raises(ClientError) as error:
        create(bench, "unique")
    assert error.value.response["Error"]["Code"] == "ResourceInUse"
    assert arn in error.value.response["Error"]["Message"]
    end(bench, "unique")


def test_what_is_left_open_is_filled_in_and_shown(bench: Bench) -> None:
    image = {"TrainingImage": "clary/image-classification", "TrainingInputMode": "File"}
    create(
        bench,
        "filled",
        training__AlgorithmSpecification=image,
        config__HyperParameterTuningJobObjective={
            "Type": "Maximize",
            "MetricName": "valid:accuracy",
        },
        Autotune={"Mode": "Enabled"},
        config__ParameterRanges={"AutoParameters": [{"Name": "lr", "ValueHint": "0.001"}]},
        config__limits__MaxNumberOfTrainingJobs=None,
    )
    job = describe(bench, "filled")
    config, training = job["HyperParameterTuningJobConfig"], job["TrainingJobDefinition"]
    assert config["TrainingJobEarlyStoppingType"] == "Auto"
    assert config["ResourceLimits"]["MaxNumberOfTrainingJobs"] == 20
    names = {one["Name"] for one in training["AlgorithmSpecification"]["MetricDefinitions"]}
    assert {"valid:accuracy", "train:loss", "valid_accuracy"} <= names
    static = training["StaticHyperParameters"]
    assert static == {"batch": "32", "_tuning_objective_metric": '"valid:accuracy"'}
    assert job["Autotune"] == {"Mode": "Enabled"}
    assert job["ConsumedResources"]["RuntimeInSeconds"] >= 0
    assert job["TuningJobCompletionDetails"]["NumberOfTrainingJobsObjectiveNotImproving"] == 0
    end(bench, "filled")


def test_flexible_resources_become_the_first_kind_of_instances(bench: Bench) -> None:
    flexible = {
        "AllocationStrategy": "Prioritized",
        "InstanceConfigs": [
            {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 5},
            {"InstanceType": "ml.m5.xlarge", "InstanceCount": 2, "VolumeSizeInGB": 5},
        ],
    }
    create(
        bench,
        "flexible",
        training__ResourceConfig=None,
        training__HyperParameterTuningResourceConfig=flexible,
    )
    sagemaker = bench.client("sagemaker")
    (name, *_) = trials_of(bench, "flexible")
    told = sagemaker.describe_training_job(TrainingJobName=name)
    assert told["ResourceConfig"] == flexible["InstanceConfigs"][0]
    end(bench, "flexible")


def test_what_is_not_there_is_told_as_on_aws(bench: Bench) -> None:
    sagemaker = bench.client("sagemaker")
    for call in (
        sagemaker.describe_hyper_parameter_tuning_job,
        sagemaker.stop_hyper_parameter_tuning_job,
        sagemaker.delete_hyper_parameter_tuning_job,
        sagemaker.list_training_jobs_for_hyper_parameter_tuning_job,
    ):
        with pytest.raises(ClientError) as error:
            call(HyperParameterTuningJobName="nobody")
        assert error.value.response["Error"]["Code"] == "ResourceNotFound"


def test_lists_filter_sort_and_page(bench: Bench) -> None:
    sagemaker = bench.client("sagemaker")
    names = [f"listed-{letter}" for letter in "cab"]
    for name in names:
        create(bench, name)
        end(bench, name)

    def listed(**asked: Any) -> list[str]:
        pages = sagemaker.get_paginator("list_hyper_parameter_tuning_jobs").paginate(
            NameContains="LISTED", **asked
        )
        found = [job for page in pages for job in page["HyperParameterTuningJobSummaries"]]
        assert all(job["Strategy"] == "Random" for job in found)
        assert all(job["TrainingJobStatusCounters"]["InProgress"] == 0 for job in found)
        return [job["HyperParameterTuningJobName"] for job in found]

    assert listed(PaginationConfig={"PageSize": 2}) == sorted(names)
    assert listed(SortBy="CreationTime", SortOrder="Descending") == names[::-1]
    assert listed(StatusEquals="Stopped", MaxResults=1) == sorted(names)
    assert listed(StatusEquals="Completed") == []
    created = describe(bench, names[1])["CreationTime"]
    assert listed(CreationTimeAfter=created) == [names[2]]
    assert listed(CreationTimeBefore=created) == [names[0]]
    with pytest.raises(ClientError, match="Invalid NextToken"):
        sagemaker.list_hyper_parameter_tuning_jobs(NextToken="nonsense")


def test_tags_belong_to_a_tuning_job_and_go_with_it(bench: Bench) -> None:
    sagemaker = bench.client("sagemaker")
    arn = create(bench, "tagged", Tags=[{"Key": "a", "Value": "1"}])
    sagemaker.add_tags(ResourceArn=arn, Tags=[{"Key": "b", "Value": "2"}])
    assert [tag["Key"] for tag in sagemaker.list_tags(ResourceArn=arn)["Tags"]] == ["a", "b"]
    end(bench, "tagged")
    sagemaker.delete_hyper_parameter_tuning_job(HyperParameterTuningJobName="tagged")
    with pytest.raises(ClientError, match="Could not find a resource"):
        sagemaker.list_tags(ResourceArn=arn)


def test_search_finds_tuning_jobs(bench: Bench) -> None:
    for number in range(2):
        create(bench, f"sought-{number}", Tags=[{"Key": "round", "Value": str(number)}])
        end(bench, f"sought-{number}")
    asked = {"Name": "Tags.round", "Operator": "Equals", "Value": "1"}
    strategy = {
        "Name": "HyperParameterTuningJobConfig.Strategy",
        "Operator": "Equals",
        "Value": "Random",
    }
    answer = bench.client("sagemaker").search(
        Resource="HyperParameterTuningJob", SearchExpression={"Filters": [asked, strategy]}
    )
    (found,) = answer["Results"]
    record = found["HyperParameterTuningJob"]
    assert record["HyperParameterTuningJobName"] == "sought-1"
    assert record["HyperParameterTuningJobStatus"] == "Stopped"
    assert record["Tags"] == [{"Key": "round", "Value": "1"}]


def test_the_sdk_waits_for_the_end_and_others_hear_how_it_stands(bench: Bench) -> None:
    create(bench, "waited", config__limits__MaxNumberOfTrainingJobs=1)
    (trial,) = trials_of(bench, "waited")
    assert describe(bench, "waited")["HyperParameterTuningJobStatus"] == "InProgress"
    job = bench.state.tuning_jobs.find("waited")
    assert job is not None
    assert tuning_patience_s(job, {"user-agent": SDK_2}) > 0
    assert tuning_patience_s(job, {"user-agent": "Boto3/1.40"}) == 0
    bench.finish(trial)
    # Each answer may come before the end on a machine that is busy.
    deadline = time.monotonic() + PATIENCE_S
    while (told := describe(bench, "waited", user_agent_extra=SDK_2))[
        "HyperParameterTuningJobStatus"
    ] == "InProgress":
        assert time.monotonic() < deadline
    assert told["HyperParameterTuningJobStatus"] == "Failed"  # it printed no objective
