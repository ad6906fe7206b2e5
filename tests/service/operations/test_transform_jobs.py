"""Transform jobs through boto3, where nothing really runs."""

from __future__ import annotations

import time
from typing import Any

import pytest
from botocore.exceptions import ClientError

from clary.service.operations.patience import (
    POLL_S,
    STOPPING_S,
    UPLOADING_S,
    WAITER_S,
    YOUNG_S,
    transform_patience_s,
)
from clary.service.state.transform_jobs import TransformJobRecord
from tests.service.operations.conftest import Bench
from tests.service.operations.hosted import ARN, create_model, fault
from tests.waiting import PATIENCE_S


def request(name: str, **changes: Any) -> dict[str, Any]:
    """A request; `source`, `input` and `output` are members of its structures."""
    source = {"S3DataType": "S3Prefix", "S3Uri": "s3://b/in/", **changes.pop("source", {})}
    given = {"DataSource": {"S3DataSource": source}, **changes.pop("input", {})}
    return {
        "TransformJobName": name,
        "ModelName": "transformed",
        "TransformInput": given,
        "TransformOutput": {"S3OutputPath": "s3://b/out", **changes.pop("output", {})},
        "TransformResources": {"InstanceType": "ml.m5.large", "InstanceCount": 1},
        **changes,
    }


@pytest.fixture(scope="module", autouse=True)
def model(bench: Bench) -> None:
    create_model(bench, "transformed")


def create(bench: Bench, name: str, **changes: Any) -> str:
    arn: str = bench.client("sagemaker").create_transform_job(**request(name, **changes))[
        "TransformJobArn"
    ]
    return arn


def reach(bench: Bench, name: str, *states: str) -> TransformJobRecord:
    job = bench.transforms.wait_until(
        name, lambda job: {job.status, job.phase} & {*states} != set(), PATIENCE_S
    )
    assert job is not None
    assert {job.status, job.phase} & {*states}, job
    return job


def finish(bench: Bench, name: str, exit_code: int = 0, failure: str | None = None) -> None:
    reach(bench, name, "Transforming")
    while bench.transform_executor.of(name).launches == 0:
        time.sleep(0.005)
    bench.transform_executor.end(name, exit_code, failure)
    bench.transforms.wake()
    reach(bench, name, "Completed", "Failed")


def test_a_job_from_creation_to_its_end(bench: Bench) -> None:
    sagemaker = bench.client("sagemaker")
    arn = create(
        bench,
        "whole",
        Environment={"A": "b"},
        DataProcessing={"JoinSource": "Input"},
        input={"ContentType": "application/jsonlines"},
        Tags=[{"Key": "team", "Value": "dogs"}],
    )
    assert arn == f"{ARN}transform-job/whole"
    assert sagemaker.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "team", "Value": "dogs"}]
    job = sagemaker.describe_transform_job(TransformJobName="whole")
    assert job["TransformJobStatus"] == "InProgress"
    assert job["TransformInput"]["SplitType"] == job["TransformInput"]["CompressionType"] == "None"
    assert job["TransformOutput"]["AssembleWith"] == "None"
    assert job["DataProcessing"] == {
        "InputFilter": "$",
        "OutputFilter": "$",
        "JoinSource": "Input",
    }
    assert (job["Environment"], job["ModelName"]) == ({"A": "b"}, "transformed")
    assert "FailureReason" not in job
    # The model may go: the job has what it needs.
    sagemaker.delete_model(ModelName="transformed")
    create_model(bench, "transformed")
    finish(bench, "whole")
    job = sagemaker.describe_transform_job(TransformJobName="whole")
    assert job["TransformJobStatus"] == "Completed"
    assert job["CreationTime"] <= job["TransformStartTime"] <= job["TransformEndTime"]
    assert bench.transform_executor.of("whole").collected == 1
    assert bench.transform_executor.of("whole").tidied == 1


def test_a_failure_is_shown_with_its_reason(bench: Bench) -> None:
    sagemaker = bench.client("sagemaker")
    create(bench, "failing")
    finish(bench, "failing", 1, "ClientError: See job logs for more information: b/in/1: no")
    job = sagemaker.describe_transform_job(TransformJobName="failing")
    assert job["TransformJobStatus"] == "Failed"
    assert job["FailureReason"].startswith("ClientError: See job logs")
    # What was transformed is stored all the same.
    assert bench.transform_executor.of("failing").collected == 1
    (listed,) = sagemaker.list_transform_jobs(NameContains="failing")["TransformJobSummaries"]
    assert listed["FailureReason"] == job["FailureReason"]


def test_lists_are_filtered_ordered_and_paged(bench: Bench) -> None:
    sagemaker = bench.client("sagemaker")
    for name in ("list-b", "list-a", "list-c"):
        create(bench, name)
        finish(bench, name)
    asked = {"NameContains": "LIST-", "SortBy": "Name", "SortOrder": "Ascending", "MaxResults": 2}
    first = sagemaker.list_transform_jobs(**asked)
    second = sagemaker.list_transform_jobs(**asked, NextToken=first["NextToken"])
    names = [
        one["TransformJobName"] for page in (first, second) for one in page["TransformJobSummaries"]
    ]
    assert names == ["list-a", "list-b", "list-c"]
    assert "NextToken" not in second
    running = sagemaker.list_transform_jobs(StatusEquals="InProgress", NameContains="list-")
    assert running["TransformJobSummaries"] == []


def test_a_job_is_stopped_and_nothing_of_it_is_stored(bench: Bench) -> None:
    sagemaker = bench.client("sagemaker")
    create(bench, "stopped")
    reach(bench, "stopped", "Transforming")
    sagemaker.stop_transform_job(TransformJobName="stopped")
    reach(bench, "stopped", "Stopped")
    hosts = bench.transform_executor.of("stopped")
    assert (hosts.collected, hosts.tidied) == (0, 1)
    job = sagemaker.describe_transform_job(TransformJobName="stopped")
    assert "FailureReason" not in job
    assert job["TransformEndTime"]
    with pytest.raises(ClientError, match="transform job is in status Stopped"):
        sagemaker.stop_transform_job(TransformJobName="stopped")


def test_what_is_not_there_and_what_is_there_already(bench: Bench) -> None:
    sagemaker = bench.client("sagemaker")
    missing = ("ValidationException", "Could not find requested job with name: nothing")
    assert fault(sagemaker.describe_transform_job, TransformJobName="nothing") == missing
    assert fault(sagemaker.stop_transform_job, TransformJobName="nothing") == missing
    code, message = fault(sagemaker.create_transform_job, **request("x", ModelName="nothing"))
    assert (code, message) == (
        "ValidationException",
        f'Could not find model "{ARN}model/nothing".',
    )
    arn = create(bench, "unique")
    code, message = fault(sagemaker.create_transform_job, **request("unique"))
    assert code == "ResourceInUse"
    assert arn in message
    finish(bench, "unique")


CSV, JSON = {"ContentType": "text/csv"}, {"ContentType": "application/json"}
LINES = {"SplitType": "Line"}


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"source": {"S3DataType": "AugmentedManifestFile"}}, "S3DataType AugmentedManifestFile"),
        ({"source": {"S3Uri": "https://b/in"}}, "S3Uri 'https://b/in' is not offered"),
        ({"output": {"S3OutputPath": "https://b/out"}}, "S3OutputPath 'https://b/out' is not"),
        ({"MaxPayloadInMB": 101}, "MaxPayloadInMB is 101, and at most 100"),
        ({"MaxPayloadInMB": 10, "MaxConcurrentTransforms": 11}, "is 110, and at most 100"),
        ({"TransformResources": {"InstanceType": "ml.m5.large", "InstanceCount": 999}}, "999"),
        ({"DataProcessing": {"InputFilter": "$..a"}}, "InputFilter: '..a' in the JSONPath"),
        ({"DataProcessing": {"OutputFilter": "a"}}, "OutputFilter: 'a' is no JSONPath"),
        ({"DataProcessing": {"JoinSource": "Input"}}, "ContentType None excludes"),
        (
            {"DataProcessing": {"JoinSource": "Input"}, "input": {"ContentType": "image/jpeg"}},
            "ContentType 'image/jpeg' excludes InputFilter and JoinSource",
        ),
        (
            {"DataProcessing": {"OutputFilter": "$.a"}, "output": {"Accept": "image/png"}},
            "Accept 'image/png' excludes OutputFilter",
        ),
        ({"DataProcessing": {"JoinSource": "Input"}, "input": CSV}, "SplitType None excludes"),
        (
            {
                "DataProcessing": {"JoinSource": "Input"},
                "input": {**CSV, **LINES},
                "output": {"Accept": "application/json", "AssembleWith": "Line"},
            },
            "same format on both sides",
        ),
        (
            {"DataProcessing": {"JoinSource": "Input"}, "input": {**JSON, **LINES}},
            "needs AssembleWith Line",
        ),
        (
            {
                "DataProcessing": {"InputFilter": "$.a"},
                "input": {**CSV, **LINES},
                "output": {"AssembleWith": "Line"},
            },
            "cannot be applied to a row of CSV",
        ),
        ({"Tags": [{"Key": "a", "Value": "1"}, {"Key": "a", "Value": "2"}]}, "Duplicate tag keys"),
    ],
)
def test_what_cannot_become_a_job(bench: Bench, changes: dict[str, Any], sentence: str) -> None:
    sagemaker = bench.client("sagemaker")
    code, message = fault(sagemaker.create_transform_job, **request("wrong", **changes))
    assert code == "ValidationException"
    assert sentence in message
    assert bench.state.transform_jobs.find("wrong") is None


def test_a_multi_model_container_has_no_model_to_transform_with(bench: Bench) -> None:
    container = {"Image": "x/pytorch-inference:2", "ModelDataUrl": "s3://b/", "Mode": "MultiModel"}
    create_model(bench, "many", PrimaryContainer=container)
    _, message = fault(
        bench.client("sagemaker").create_transform_job, **request("wrong", ModelName="many")
    )
    assert "multi-model container" in message


@pytest.mark.parametrize(
    ("status", "phase", "age_s", "caller", "expected"),
    [
        ("Completed", "Ended", 0, "AWS-SageMaker-Python-SDK/2.257", 0.0),
        ("InProgress", "Transforming", 0, "Boto3/1.40 m/B", WAITER_S),
        ("InProgress", "Transforming", 0, "Boto3/1.40", 0.0),
        ("InProgress", "Uploading", 0, "Boto3/1.40", UPLOADING_S),
        ("Stopping", "Transforming", 0, "Boto3/1.40", STOPPING_S),
        ("InProgress", "Preparing", 5, "lib/AWS-SageMaker-Python-SDK#2.257", YOUNG_S - 5),
        ("InProgress", "Transforming", 500, "lib/AWS-SageMaker-Python-SDK#2.257", POLL_S),
        ("InProgress", "Transforming", 500, "lib/AWS-SageMaker-Python-SDK#3.2", POLL_S),
    ],
)
def test_who_waits_for_a_job_s_end_hears_of_it_at_once(
    status: str, phase: str, age_s: int, caller: str, expected: float
) -> None:
    job = TransformJobRecord("a", "arn", {}, {}, 1_000_000, 1_000_000, status=status, phase=phase)
    now_ms = 1_000_000 + age_s * 1000
    assert transform_patience_s(job, {"user-agent": caller}, now_ms) == expected
