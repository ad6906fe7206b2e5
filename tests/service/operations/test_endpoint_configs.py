"""Endpoint configurations through boto3."""

from __future__ import annotations

from typing import Any

import pytest

from tests.service.operations.conftest import Bench
from tests.service.operations.hosted import (
    ARN,
    BUCKET,
    IMAGE,
    create_config,
    create_model,
    fault,
    variant,
)

CAPTURE: dict[str, Any] = {
    "EnableCapture": True,
    "InitialSamplingPercentage": 50,
    "DestinationS3Uri": f"s3://{BUCKET}/captured",
    "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
}
ASYNC: dict[str, Any] = {"OutputConfig": {"S3OutputPath": f"s3://{BUCKET}/answers"}}
SERVERLESS: dict[str, Any] = {
    "InstanceType": None,
    "InitialInstanceCount": None,
    "ServerlessConfig": {"MemorySizeInMB": 2048, "MaxConcurrency": 5},
}


@pytest.fixture(scope="module")
def model(bench: Bench) -> str:
    """The name of a model that can be served."""
    create_model(bench, "served")
    return "served"


def test_a_configuration_from_its_creation_to_its_end(bench: Bench, model: str) -> None:
    sagemaker = bench.client("sagemaker")
    variants = [
        variant(model, VariantName="old", InitialVariantWeight=3.0),
        variant(model, VariantName="new", InitialInstanceCount=2),
    ]
    arn = create_config(
        bench,
        "told",
        *variants,
        DataCaptureConfig=CAPTURE,
        Tags=[{"Key": "team", "Value": "vision"}],
    )
    assert arn == ARN + "endpoint-config/told"
    told = sagemaker.describe_endpoint_config(EndpointConfigName="told")
    assert told["EndpointConfigArn"] == arn
    assert told["ProductionVariants"] == [variants[0], {**variants[1], "InitialVariantWeight": 1.0}]
    assert told["DataCaptureConfig"] == CAPTURE
    assert sagemaker.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "team", "Value": "vision"}]
    assert fault(
        sagemaker.create_endpoint_config, EndpointConfigName="told", ProductionVariants=variants
    ) == ("ValidationException", f'Cannot create already existing endpoint configuration "{arn}".')
    sagemaker.delete_endpoint_config(EndpointConfigName="told")
    gone = ("ValidationException", f'Could not find endpoint configuration "{arn}".')
    assert fault(sagemaker.describe_endpoint_config, EndpointConfigName="told") == gone
    assert fault(sagemaker.delete_endpoint_config, EndpointConfigName="told") == gone


def test_a_model_that_is_not_there_is_told(bench: Bench) -> None:
    assert fault(
        bench.client("sagemaker").create_endpoint_config,
        EndpointConfigName="lonely",
        ProductionVariants=[variant("nobody")],
    ) == ("ValidationException", f'Could not find model "{ARN}model/nobody".')


@pytest.mark.parametrize(
    "changes",
    [
        {"ProductionVariants": [variant("served", **SERVERLESS)]},
        {"AsyncInferenceConfig": ASYNC},
        {"ShadowProductionVariants": [variant("served", VariantName="shadow")]},
        {
            "ProductionVariants": [
                variant("served", RoutingConfig={"RoutingStrategy": "LEAST_OUTSTANDING_REQUESTS"})
            ]
        },
        {"ProductionVariants": [variant("served", VolumeSizeInGB=64)]},
    ],
    ids=["serverless", "async", "shadow", "routing", "volume"],
)
def test_what_is_offered_comes_back_as_it_was_asked(
    bench: Bench, model: str, changes: dict[str, Any], request: pytest.FixtureRequest
) -> None:
    sagemaker = bench.client("sagemaker")
    name = f"kept-{request.node.callspec.id}"
    asked = {"ProductionVariants": [variant(model)], **changes}
    sagemaker.create_endpoint_config(EndpointConfigName=name, **asked)
    told = sagemaker.describe_endpoint_config(EndpointConfigName=name)
    for member, value in asked.items():
        weighed = [{**one, "InitialVariantWeight": 1.0} for one in value if "ModelName" in one]
        assert told[member] == (weighed or value)


def serverless(**config: Any) -> dict[str, Any]:
    whole = {**SERVERLESS["ServerlessConfig"], **config}
    return variant("served", **{**SERVERLESS, "ServerlessConfig": whole})


def variants(*changes: dict[str, Any]) -> dict[str, Any]:
    return {"ProductionVariants": [variant("served", **one) for one in changes]}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (variants({}, {}), "VariantName 'AllTraffic' is used 2 times"),
        (variants({"ModelName": None}), "inference components are not offered"),
        (variants({"InstanceType": None}), "InstanceType must be set in variant 'AllTraffic'"),
        (variants({"InitialInstanceCount": None}), "InitialInstanceCount must be set"),
        (variants({"InitialInstanceCount": 33}), "InitialInstanceCount of variant 'AllTraffic' is"),
        (variants({"InitialVariantWeight": 0.0}), "at least one must be above 0"),
        (variants({"AcceleratorType": "ml.eia2.medium"}), "AcceleratorType of variant"),
        (variants({"EnableSSMAccess": True}), "EnableSSMAccess of variant"),
        (variants({"ManagedInstanceScaling": {"Status": "ENABLED"}}), "ManagedInstanceScaling of"),
        (variants({"RoutingConfig": {"RoutingStrategy": "KV_AWARE"}}), "RoutingStrategy KV_AWARE"),
        (
            variants({"ServerlessConfig": SERVERLESS["ServerlessConfig"]}),
            "ServerlessConfig excludes InstanceType and InitialInstanceCount",
        ),
        (
            {"ProductionVariants": [serverless(), variant("served", VariantName="other")]},
            "an endpoint with ServerlessConfig has one",
        ),
        ({"ProductionVariants": [serverless(MemorySizeInMB=1500)]}, "a multiple of 1024"),
        (
            {"ProductionVariants": [serverless(ProvisionedConcurrency=6)]},
            "it must be at most MaxConcurrency, 5",
        ),
        (
            {"ProductionVariants": [serverless()], "DataCaptureConfig": CAPTURE},
            "DataCaptureConfig is not supported on an endpoint with ServerlessConfig",
        ),
        (
            {"ProductionVariants": [serverless()], "AsyncInferenceConfig": ASYNC},
            "AsyncInferenceConfig is not supported on an endpoint with ServerlessConfig",
        ),
        (
            {
                **variants({}, {"VariantName": "b"}),
                "ShadowProductionVariants": [variant("served", VariantName="c")],
            },
            "one shadow variant beside one production variant",
        ),
        (
            {
                **variants({}),
                "ShadowProductionVariants": [
                    variant("served", VariantName="c", InitialVariantWeight=2.0)
                ],
            },
            "it is at most that of the production variant, 1,",
        ),
        (
            {
                **variants({}),
                "AsyncInferenceConfig": ASYNC,
                "ShadowProductionVariants": [variant("served", VariantName="c")],
            },
            "ShadowProductionVariants exclude AsyncInferenceConfig",
        ),
        ({**variants({}), "AsyncInferenceConfig": {"OutputConfig": {}}}, "S3OutputPath must be"),
        (
            {
                **variants({}),
                "AsyncInferenceConfig": {
                    "OutputConfig": {
                        **ASYNC["OutputConfig"],
                        "NotificationConfig": {
                            "SuccessTopic": "arn:aws:sns:us-east-1:000000000000:done"
                        },
                    }
                },
            },
            "NotificationConfig is not offered by Clary",
        ),
        (
            {
                **variants({}),
                "ExplainerConfig": {
                    "ClarifyExplainerConfig": {
                        "ShapConfig": {"ShapBaselineConfig": {"ShapBaseline": "1"}}
                    }
                },
            },
            "ExplainerConfig is not offered by Clary",
        ),
        (
            {
                **variants({}),
                "DataCaptureConfig": {
                    **CAPTURE,
                    "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Input"}],
                },
            },
            "CaptureOptions name a CaptureMode twice",
        ),
    ],
    ids=lambda value: "-".join(value.split()[:4]) if isinstance(value, str) else "",
)
def test_what_cannot_be_served_is_refused_by_name(
    bench: Bench, model: str, changes: dict[str, Any], said: str
) -> None:
    code, message = fault(
        bench.client("sagemaker").create_endpoint_config,
        EndpointConfigName="refused",
        **changes,
    )
    assert code == "ValidationException"
    assert said in message
    assert bench.state.endpoint_configs.find("refused") is None


def test_a_multi_model_one_is_neither_serverless_nor_a_shadow(bench: Bench, model: str) -> None:
    container = {"Image": IMAGE, "Mode": "MultiModel", "ModelDataUrl": f"s3://{BUCKET}/all/"}
    create_model(bench, "of-many", PrimaryContainer=container)
    create = bench.client("sagemaker").create_endpoint_config
    for asked in (
        {"ProductionVariants": [variant("of-many", **SERVERLESS)]},
        {
            "ProductionVariants": [variant(model)],
            "ShadowProductionVariants": [variant("of-many", VariantName="shadow")],
        },
    ):
        code, message = fault(create, EndpointConfigName="refused", **asked)
        assert code == "ValidationException"
        assert "MultiModel" in message


def test_lists_come_newest_first_and_in_pages(bench: Bench, model: str) -> None:
    sagemaker = bench.client("sagemaker")
    for number in range(3):
        create_config(bench, f"page-{number}", variant(model))
    pages = sagemaker.get_paginator("list_endpoint_configs").paginate(
        NameContains="page-", PaginationConfig={"PageSize": 2}
    )
    names = [[one["EndpointConfigName"] for one in page["EndpointConfigs"]] for page in pages]
    assert names == [["page-2", "page-1"], ["page-0"]]
