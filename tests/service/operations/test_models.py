"""Models through boto3."""

from __future__ import annotations

from typing import Any

import pytest

from tests.service.operations.conftest import ROLE, Bench
from tests.service.operations.hosted import ARN, BUCKET, IMAGE, create_model, fault, put_object


def test_a_model_from_its_creation_to_its_end(bench: Bench) -> None:
    sagemaker = bench.client("sagemaker")
    container = {
        "Image": IMAGE,
        "ModelDataUrl": put_object(bench, "told/model.tar.gz"),
        "Environment": {"SAGEMAKER_PROGRAM": "inference.py"},
        "Mode": "SingleModel",
    }
    tags = [{"Key": "team", "Value": "vision"}]
    arn = create_model(bench, "told", PrimaryContainer=container, Tags=tags)
    assert arn == ARN + "model/told"
    told = sagemaker.describe_model(ModelName="told")
    assert told["PrimaryContainer"] == container
    assert (told["ModelArn"], told["ExecutionRoleArn"]) == (arn, ROLE)
    assert told["EnableNetworkIsolation"] is False
    assert sagemaker.list_tags(ResourceArn=arn)["Tags"] == tags
    assert fault(
        sagemaker.create_model,
        ModelName="told",
        ExecutionRoleArn=ROLE,
        PrimaryContainer=container,
    ) == ("ValidationException", f'Cannot create already existing model "{arn}".')
    sagemaker.delete_model(ModelName="told")
    gone = ("ValidationException", f'Could not find model "{arn}".')
    assert fault(sagemaker.describe_model, ModelName="told") == gone
    assert fault(sagemaker.delete_model, ModelName="told") == gone
    assert create_model(bench, "told") == arn
    assert sagemaker.list_tags(ResourceArn=arn)["Tags"] == []


def test_one_container_in_a_list_is_a_model_too(bench: Bench) -> None:
    containers = [{"Image": IMAGE, "ModelDataUrl": put_object(bench, "listed/model.tar.gz")}]
    create_model(bench, "listed", PrimaryContainer=None, Containers=containers)
    told = bench.client("sagemaker").describe_model(ModelName="listed")
    assert told["Containers"] == containers
    assert "PrimaryContainer" not in told


@pytest.mark.parametrize("name", ["nothing/model.tar.gz", "told/"])
def test_an_archive_that_is_not_there_is_told_at_once(bench: Bench, name: str) -> None:
    put_object(bench, "told/model.tar.gz")
    container = {"Image": IMAGE, "ModelDataUrl": f"s3://{BUCKET}/{name}"}
    assert fault(
        bench.client("sagemaker").create_model,
        ModelName="missing",
        ExecutionRoleArn=ROLE,
        PrimaryContainer=container,
    ) == ("ValidationException", f"Could not find model data at s3://{BUCKET}/{name}.")


def test_a_bucket_that_is_not_there_holds_no_archive(bench: Bench) -> None:
    container = {"Image": IMAGE, "ModelDataUrl": "s3://no-such-bucket/model.tar.gz"}
    _, message = fault(
        bench.client("sagemaker").create_model,
        ModelName="missing",
        ExecutionRoleArn=ROLE,
        PrimaryContainer=container,
    )
    assert message == "Could not find model data at s3://no-such-bucket/model.tar.gz."


def source(kind: str, compression: str) -> dict[str, Any]:
    uri = f"s3://{BUCKET}/folder/" if kind == "S3Prefix" else f"s3://{BUCKET}/folder/model.tar.gz"
    return {"S3DataSource": {"S3Uri": uri, "S3DataType": kind, "CompressionType": compression}}


@pytest.mark.parametrize(("kind", "compression"), [("S3Prefix", "None"), ("S3Object", "Gzip")])
def test_a_model_may_name_its_data_as_a_source(bench: Bench, kind: str, compression: str) -> None:
    put_object(bench, "folder/model.tar.gz")
    container = {"Image": IMAGE, "ModelDataSource": source(kind, compression)}
    create_model(bench, f"sourced-{kind}", PrimaryContainer=container)


def test_the_archives_of_many_models_may_come_later(bench: Bench) -> None:
    container = {"Image": IMAGE, "Mode": "MultiModel", "ModelDataUrl": f"s3://{BUCKET}/not/yet/"}
    create_model(bench, "many", PrimaryContainer=container)


def test_code_in_s3_may_do_without_an_archive(bench: Bench) -> None:
    environment = {"SAGEMAKER_SUBMIT_DIRECTORY": f"s3://{BUCKET}/code/sourcedir.tar.gz"}
    create_model(bench, "code-alone", PrimaryContainer={"Image": IMAGE, "Environment": environment})


URL = f"s3://{BUCKET}/told/model.tar.gz"
GOOD: dict[str, Any] = {"Image": IMAGE, "ModelDataUrl": URL}


@pytest.mark.parametrize(
    ("request_members", "said"),
    [
        ({}, "Either PrimaryContainer or Containers must be set."),
        ({"PrimaryContainer": GOOD, "Containers": [GOOD]}, "exactly one of them is allowed."),
        ({"Containers": [GOOD, GOOD]}, "A pipeline of 2 containers is not offered by Clary"),
        ({"PrimaryContainer": {"ModelDataUrl": URL}}, "Image must be set"),
        ({"PrimaryContainer": {"Image": IMAGE}}, "ModelDataUrl must be set"),
        ({"PrimaryContainer": {"Image": IMAGE, "Mode": "MultiModel"}}, "MultiModel needs Mod"),
        (
            {"PrimaryContainer": {**GOOD, "ModelDataSource": source("S3Object", "Gzip")}},
            "Both ModelDataUrl and ModelDataSource are set",
        ),
        (
            {"PrimaryContainer": {"Image": IMAGE, "ModelDataSource": source("S3Object", "None")}},
            "S3DataType S3Object with CompressionType None is not offered by Clary",
        ),
        (
            {"PrimaryContainer": {"ModelPackageName": "arn:aws:sagemaker:x:000000000000:m/n"}},
            "ModelPackageName is not offered by Clary",
        ),
        (
            {"PrimaryContainer": {**GOOD, "ModelDataUrl": "https://example.com/model.tar.gz"}},
            "'https://example.com/model.tar.gz' is no S3 URI",
        ),
        (
            {"PrimaryContainer": {**GOOD, "MultiModelConfig": {"ModelCacheSetting": "Enabled"}}},
            "MultiModelConfig needs Mode MultiModel.",
        ),
        (
            {
                "PrimaryContainer": GOOD,
                "Tags": [{"Key": "a", "Value": "1"}, {"Key": "a", "Value": "2"}],
            },
            "Duplicate tag keys found: a.",
        ),
    ],
    ids=lambda value: value[:20] if isinstance(value, str) else "",
)
def test_what_cannot_be_served_is_refused_by_name(
    bench: Bench, request_members: dict[str, Any], said: str
) -> None:
    put_object(bench, "told/model.tar.gz")
    code, message = fault(
        bench.client("sagemaker").create_model,
        ModelName="refused",
        ExecutionRoleArn=ROLE,
        **request_members,
    )
    assert code == "ValidationException"
    assert said in message
    assert bench.state.models.find("refused") is None


def test_lists_come_newest_first_and_in_pages(bench: Bench) -> None:
    sagemaker = bench.client("sagemaker")
    for number in range(5):
        create_model(bench, f"page-{number}")
    pages = sagemaker.get_paginator("list_models").paginate(
        NameContains="page-", PaginationConfig={"PageSize": 2}
    )
    names = [[model["ModelName"] for model in page["Models"]] for page in pages]
    assert names == [["page-4", "page-3"], ["page-2", "page-1"], ["page-0"]]
    by_name = sagemaker.list_models(NameContains="PAGE-", SortBy="Name", SortOrder="Ascending")
    assert [model["ModelName"] for model in by_name["Models"]] == [f"page-{n}" for n in range(5)]
    assert fault(sagemaker.list_models, NextToken="none of ours")[0] == "ValidationException"
