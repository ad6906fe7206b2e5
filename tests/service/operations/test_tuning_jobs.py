"""Tuning jobs through boto3, where nothing really runs: refusals, lists, tags, patience."""

from __future__ import annotations

import copy
import time
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.service.operations.conftest import ROLE, Bench

X = {"ContinuousParameterRanges": [{"Name": "x", "MinValue": "0", "MaxValue": "1"}]}
KIND = {"CategoricalParameterRanges": [{"Name": "kind", "Values": ["a", "b", "c"]}]}
LOSS = {"Type": "Minimize", "MetricName": "loss"}
SDK_2 = "lib/AWS-SageMaker-Python-SDK#2.257.7"


def request(name: str, **changes: Any) -> dict[str, Any]:
    """A CreateHyperParameterTuningJob; `a__b` changes the member b of a, None takes it away."""
    asked: dict[str, Any] = {
        "HyperParameterTuningJobName": name,
        "HyperParameterTuningJobConfig": {
            "Strategy": "Random",
            "HyperParameterTuningJobObjective": LOSS,
            "ResourceLimits": {"MaxNumberOfTrainingJobs": 3, "MaxParallelTrainingJobs": 2},
            "ParameterRanges": X,
        },
        "TrainingJobDefinition": {
            "StaticHyperParameters": {"batch": "32"},
            "AlgorithmSpecification": {
                "TrainingImage": "pytorch-training:2.2",
                "TrainingInputMode": "File",
                "MetricDefinitions": [{"Name": "loss", "Regex": "loss=([0-9.]+)"}],
            },
            "RoleArn": ROLE,
            "OutputDataConfig": {"S3OutputPath": "s3://bucket/out"},
            "ResourceConfig": {
                "InstanceType": "ml.m5.xlarge",
                "InstanceCount": 1,
                "VolumeSizeInGB": 30,
            },
            "StoppingCondition": {"MaxRuntimeInSeconds": 3600},
        },
    }
    short = {
        "config": "HyperParameterTuningJobConfig",
        "training": "TrainingJobDefinition",
        "limits": "ResourceLimits",
    }
    for path, value in changes.items():
        *parents, member = [short.get(part, part) for part in path.split("__")]
        target = asked
        for parent in parents:
            target = target[parent]
        if value is None:
            target.pop(member, None)
        else:
            target[member] = value
    return copy.deepcopy(asked)


def create(bench: Bench, name: str, **changes: Any) -> str:
    answer = bench.client("sagemaker").create_hyper_parameter_tuning_job(**request(name, **changes))
    arn: str = answer["HyperParameterTuningJobArn"]
    return arn


def describe(bench: Bench, name: str, **client: Any) -> dict[str, Any]:
    return dict(
        bench.client("sagemaker", **client).describe_hyper_parameter_tuning_job(
            HyperParameterTuningJobName=name
        )
    )


def end(bench: Bench, name: str) -> None:
    """Let a tuning job be stopped, and wait for it."""
    bench.client("sagemaker").stop_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)
    job = bench.supervisor.wait_until_tuning(name, lambda job: not job.active, 20)
    assert job is not None
    assert job.status == "Stopped"


def hyperband(**resources: int) -> dict[str, Any]:
    return {"HyperbandStrategyConfig": resources}


def ranges(kind: str, low: str, high: str, scaling: str = "Auto") -> dict[str, Any]:
    one = {"Name": "x", "MinValue": low, "MaxValue": high, "ScalingType": scaling}
    return {f"{kind}ParameterRanges": [one]}


DEFINITION = request("any")["TrainingJobDefinition"]
NAMED = {
    **DEFINITION,
    "DefinitionName": "one",
    "TuningObjective": LOSS,
    "HyperParameterRanges": X,
}
MANY = {f"h{number}": "1" for number in range(99)}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"training": None},
            "Exactly one of TrainingJobDefinition and TrainingJobDefinitions must be given.",
        ),
        ({"TrainingJobDefinitions": [NAMED]}, "Exactly one of TrainingJobDefinition"),
        (
            {"training": None, "TrainingJobDefinitions": [NAMED]},
            "ParameterRanges is not allowed with TrainingJobDefinitions: give HyperParameterRanges",
        ),
        (
            {
                "training": None,
                "config__ParameterRanges": None,
                "config__HyperParameterTuningJobObjective": None,
                "TrainingJobDefinitions": [
                    NAMED,
                    {**NAMED, "TuningObjective": {**LOSS, "Type": "Maximize"}},
                ],
            },
            "DefinitionName 'one' is given twice. The TuningObjective of all",
        ),
        (
            {"training__HyperParameterRanges": X},
            "Both HyperParameterRanges and ParameterRanges are given",
        ),
        (
            {"config__HyperParameterTuningJobObjective": None},
            "An objective metric is missing: give HyperParameterTuningJobObjective",
        ),
        (
            {"training__AlgorithmSpecification__MetricDefinitions": None},
            "A metric is required for this hyperparameter tuning job objective. Provide a metric "
            "in the metric definitions.",
        ),
        (
            {"config__HyperParameterTuningJobObjective": {**LOSS, "MetricName": "acc"}},
            "The objective metric for the hyperparameter tuning job, [acc], isn't in the metric "
            "definitions. Choose one of [loss], or define it.",
        ),
        ({"config__ParameterRanges": None}, "0 hyperparameters have a range"),
        ({"config__ParameterRanges": ranges("Continuous", "1", "0")}, "x"),
        ({"config__ParameterRanges": ranges("Continuous", "0", "1", "Logarithmic")}, "logarithm"),
        ({"config__ParameterRanges": ranges("Continuous", "0", "1", "ReverseLogarithmic")}, "x"),
        ({"config__ParameterRanges": ranges("Integer", "0", "1", "ReverseLogarithmic")}, "x"),
        (
            {"config__ParameterRanges": ranges("Integer", "0.5", "2")},
            "MinValue of the range of x is '0.5', which is no whole number",
        ),
        (
            {"config__ParameterRanges": ranges("Continuous", "low", "2")},
            "MinValue of the range of x is 'low', which is no number: write one such as 0.001.",
        ),
        (
            {"training__StaticHyperParameters": {"x": "1"}},
            "The hyperparameter 'x' has a range and a static value: keep one.",
        ),
        (
            {"training__StaticHyperParameters": MANY},
            "A training job would have 101 hyperparameters, _tuning_objective_metric among them, "
            "and 100 are allowed.",
        ),
        ({"config__Strategy": "Grid"}, "x"),
        (
            {
                "config__Strategy": "Grid",
                "config__ParameterRanges": KIND,
                "config__limits__MaxNumberOfTrainingJobs": 2,
            },
            "3",
        ),
        (
            {
                "config__Strategy": "Hyperband",
                "config__TrainingJobEarlyStoppingType": "Auto",
                "config__StrategyConfig": hyperband(MaxResource=9),
            },
            "TrainingJobEarlyStoppingType must be Off for the strategy Hyperband",
        ),
        ({"config__Strategy": "Hyperband"}, "Hyperband"),
        (
            {
                "config__Strategy": "Hyperband",
                "config__StrategyConfig": hyperband(MinResource=9, MaxResource=3),
            },
            "from 9 to 3",
        ),
        (
            {"config__StrategyConfig": hyperband(MaxResource=9)},
            "StrategyConfig is only allowed with the strategy Hyperband, not with Random.",
        ),
        (
            {"config__limits__MaxNumberOfTrainingJobs": None},
            "MaxNumberOfTrainingJobs must be set in ResourceLimits.",
        ),
        (
            {
                "config__ParameterRanges": {
                    "AutoParameters": [{"Name": "lr", "ValueHint": "0.1"}],
                }
            },
            "AutoParameters are only allowed with Autotune: set its Mode to Enabled.",
        ),
        ({"training__ResourceConfig": None}, "ResourceConfig must be set."),
        (
            {"training__HyperParameterTuningResourceConfig": {"InstanceType": "ml.m5.xlarge"}},
            "Both ResourceConfig and HyperParameterTuningResourceConfig are set",
        ),
        (
            {"training__EnableManagedSpotTraining": True},
            "Invalid MaxWaitTimeInSeconds. It must be present",
        ),
        (
            {"training__Environment": {"CLARY_PROFILER_CONFIG": "{"}},
            "Member must be ProfilerConfig as JSON",
        ),
        (
            {"training__Environment": {"CLARY_DEBUG_HOOK_CONFIG": "{}"}},
            "'debugHookConfig.s3OutputPath' failed to satisfy constraint: Member must not be null",
        ),
        (
            {"Tags": [{"Key": "a", "Value": "1"}, {"Key": "a", "Value": "2"}]},
            "Duplicate tag keys found: a.",
        ),
    ],
)
def test_what_the_model_allows_and_the_service_does_not(
    bench: Bench, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ClientError) as error:
        create(bench, "refused", **changes)
    told = error.value.response["Error"]
    assert told["Code"] == "ValidationException"
    assert message in told["Message"]
    assert told["Message"].endswith((".", "null", ")"))


@pytest.mark.parametrize(
    "limits",
    [
        {"MaxNumberOfTrainingJobs": 10, "MaxParallelTrainingJobs": 101},
        {"MaxNumberOfTrainingJobs": 10_001, "MaxParallelTrainingJobs": 1},
    ],
)
def test_limits_are_those_of_aws(bench: Bench, limits: dict[str, int]) -> None:
    with pytest.raises(ClientError) as error:
        create(bench, "too-much", config__limits=limits)
    assert error.value.response["Error"]["Code"] == "ResourceLimitExceeded"


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
    asked = {"HyperParameterTuningJobName": "flexible"}
    deadline = time.monotonic() + 20
    while True:
        listed = sagemaker.list_training_jobs_for_hyper_parameter_tuning_job(**asked)
        if listed["TrainingJobSummaries"]:
            break
        assert time.monotonic() < deadline
    name = listed["TrainingJobSummaries"][0]["TrainingJobName"]
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


def test_the_sdk_hears_of_the_end_at_once(bench: Bench) -> None:
    create(bench, "waited", config__limits__MaxNumberOfTrainingJobs=1)
    begun = time.monotonic()
    described = describe(bench, "waited")
    assert described["HyperParameterTuningJobStatus"] == "InProgress"
    assert time.monotonic() - begun < 4
    deadline = time.monotonic() + 20
    while not bench.state.training_jobs.trials_of(_number(bench, "waited")):
        assert time.monotonic() < deadline
    (trial,) = bench.state.training_jobs.trials_of(_number(bench, "waited"))
    bench.finish(trial.name)
    told = describe(bench, "waited", user_agent_extra=SDK_2)
    assert told["HyperParameterTuningJobStatus"] == "Failed"  # it printed no objective


def _number(bench: Bench, name: str) -> int:
    job = bench.state.tuning_jobs.find(name)
    assert job is not None
    return job.number
