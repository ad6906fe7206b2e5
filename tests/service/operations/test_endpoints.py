"""Endpoints through boto3; their replicas live in memory."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from clary.service.operations.endpoint_config_checks import INSTANCE_LIMIT
from tests.service.operations.conftest import Bench
from tests.service.operations.hosted import (
    ARN,
    IMAGE,
    create_config,
    create_endpoint,
    create_model,
    fault,
    reach,
    variant,
)
from tests.service.operations.test_endpoint_configs import ASYNC, CAPTURE, SERVERLESS


def describe(bench: Bench, name: str) -> dict[str, Any]:
    told: dict[str, Any] = bench.client("sagemaker").describe_endpoint(EndpointName=name)
    return told


def test_an_endpoint_from_its_creation_to_its_end(bench: Bench) -> None:
    sagemaker = bench.client("sagemaker")
    create_config(bench, "told")
    tags = [{"Key": "team", "Value": "vision"}]
    request = {"EndpointName": "told", "EndpointConfigName": "told", "Tags": tags}
    arn = sagemaker.create_endpoint(**request)["EndpointArn"]
    assert arn == ARN + "endpoint/told"
    sagemaker.get_waiter("endpoint_in_service").wait(EndpointName="told")
    told = describe(bench, "told")
    assert told["EndpointStatus"] == "InService"
    assert told["EndpointConfigName"] == "told"
    assert told["LastModifiedTime"] >= told["CreationTime"]
    assert "FailureReason" not in told
    (one,) = told["ProductionVariants"]
    assert (one["VariantName"], one["CurrentWeight"], one["DesiredWeight"]) == ("AllTraffic", 1, 1)
    assert (one["CurrentInstanceCount"], one["DesiredInstanceCount"]) == (1, 1)
    assert one["DeployedImages"][0]["SpecifiedImage"] == IMAGE
    assert "VariantStatus" not in one
    assert sagemaker.list_tags(ResourceArn=arn)["Tags"] == tags
    assert fault(sagemaker.create_endpoint, **request) == (
        "ValidationException",
        f'Cannot create already existing endpoint "{arn}".',
    )
    sagemaker.delete_endpoint(EndpointName="told")
    sagemaker.get_waiter("endpoint_deleted").wait(EndpointName="told")
    gone = ("ValidationException", f'Could not find endpoint "{arn}".')
    assert fault(sagemaker.describe_endpoint, EndpointName="told") == gone
    assert fault(sagemaker.delete_endpoint, EndpointName="told") == gone
    assert fault(sagemaker.list_tags, ResourceArn=arn)[0] == "ValidationException"


def test_all_tags_that_are_given_twice_are_told_at_once(bench: Bench) -> None:
    tags = [{"Key": key, "Value": str(number)} for number, key in enumerate("abcab")]
    assert fault(
        bench.client("sagemaker").create_endpoint,
        EndpointName="tagged",
        EndpointConfigName="nothing",
        Tags=tags,
    ) == (
        "ValidationException",
        "Duplicate tag keys found: a. Duplicate tag keys found: b.",
    )


def test_a_configuration_that_is_not_there_is_told(bench: Bench) -> None:
    sagemaker = bench.client("sagemaker")
    missing = f'Could not find endpoint configuration "{ARN}endpoint-config/nothing".'
    asked = {"EndpointConfigName": "nothing"}
    assert fault(sagemaker.create_endpoint, EndpointName="bare", **asked)[1] == missing
    create_endpoint(bench, "there")
    assert fault(sagemaker.update_endpoint, EndpointName="there", **asked)[1] == missing
    unknown = f'Could not find endpoint "{ARN}endpoint/bare".'
    for call in (sagemaker.update_endpoint, sagemaker.create_endpoint):
        assert bench.state.endpoints.find("bare") is None, call
    config = {"EndpointConfigName": "there"}
    assert fault(sagemaker.update_endpoint, EndpointName="bare", **config)[1] == unknown


def test_what_an_endpoint_was_made_of_may_go(bench: Bench) -> None:
    sagemaker = bench.client("sagemaker")
    create_endpoint(bench, "keeps")
    sagemaker.delete_endpoint_config(EndpointConfigName="keeps")
    sagemaker.delete_model(ModelName="keeps")
    told = describe(bench, "keeps")
    assert (told["EndpointStatus"], told["EndpointConfigName"]) == ("InService", "keeps")
    assert told["ProductionVariants"][0]["DeployedImages"][0]["SpecifiedImage"] == IMAGE
    sagemaker.update_endpoint_weights_and_capacities(
        EndpointName="keeps",
        DesiredWeightsAndCapacities=[{"VariantName": "AllTraffic", "DesiredInstanceCount": 2}],
    )
    reach(bench, "keeps", "InService")
    assert describe(bench, "keeps")["ProductionVariants"][0]["CurrentInstanceCount"] == 2


def test_a_model_that_went_before_its_endpoint_came_is_told(bench: Bench) -> None:
    sagemaker = bench.client("sagemaker")
    create_config(bench, "hollow")
    sagemaker.delete_model(ModelName="hollow")
    assert fault(sagemaker.create_endpoint, EndpointName="hollow", EndpointConfigName="hollow") == (
        "ValidationException",
        f'Could not find model "{ARN}model/hollow".',
    )


def test_an_update_shows_what_is_pending_and_then_what_serves(bench: Bench) -> None:
    sagemaker = bench.client("sagemaker")
    create_endpoint(bench, "moved")
    create_config(bench, "next", variant("moved", VariantName="b", InitialInstanceCount=2))
    hold = bench.executor.replicas.preparation.hold
    hold.clear()
    try:
        sagemaker.update_endpoint(EndpointName="moved", EndpointConfigName="next")
        told = describe(bench, "moved")
        assert (told["EndpointStatus"], told["EndpointConfigName"]) == ("Updating", "moved")
        assert told["ProductionVariants"][0]["VariantName"] == "AllTraffic"
        assert told["ProductionVariants"][0]["VariantStatus"][0]["Status"] == "Updating"
        pending = told["PendingDeploymentSummary"]
        assert pending["EndpointConfigName"] == "next"
        (one,) = pending["ProductionVariants"]
        assert (one["VariantName"], one["InstanceType"]) == ("b", "ml.m5.xlarge")
        assert (one["CurrentInstanceCount"], one["DesiredInstanceCount"]) == (0, 2)
        busy = ("ValidationException", f'Cannot update in-progress endpoint "{ARN}endpoint/moved".')
        asked = {"EndpointName": "moved", "EndpointConfigName": "next"}
        assert fault(sagemaker.update_endpoint, **asked) == busy
        wishes = [{"VariantName": "b", "DesiredWeight": 2.0}]
        assert (
            fault(
                sagemaker.update_endpoint_weights_and_capacities,
                EndpointName="moved",
                DesiredWeightsAndCapacities=wishes,
            )
            == busy
        )
    finally:
        hold.set()
    reach(bench, "moved", "InService")
    told = describe(bench, "moved")
    assert told["EndpointConfigName"] == "next"
    assert "PendingDeploymentSummary" not in told
    assert [one["VariantName"] for one in told["ProductionVariants"]] == ["b"]


@pytest.mark.parametrize(
    ("asked", "weight", "count", "captures"),
    [
        ({}, 1.0, 1, False),
        ({"RetainAllVariantProperties": True}, 5.0, 3, True),
        (
            {
                "RetainAllVariantProperties": True,
                "ExcludeRetainedVariantProperties": [
                    {"VariantPropertyType": "DesiredInstanceCount"},
                    {"VariantPropertyType": "DataCaptureConfig"},
                ],
            },
            5.0,
            1,
            False,
        ),
        (
            {
                "RetainAllVariantProperties": True,
                "ExcludeRetainedVariantProperties": [{"VariantPropertyType": "DesiredWeight"}],
            },
            1.0,
            3,
            True,
        ),
    ],
    ids=["nothing", "all", "weight", "count"],
)
def test_an_update_retains_what_it_is_asked_to(
    bench: Bench,
    asked: dict[str, Any],
    weight: float,
    count: int,
    captures: bool,
    request: pytest.FixtureRequest,
) -> None:
    sagemaker = bench.client("sagemaker")
    name = f"retains-{request.node.callspec.id}"
    create_endpoint(bench, name, DataCaptureConfig=CAPTURE)
    sagemaker.update_endpoint_weights_and_capacities(
        EndpointName=name,
        DesiredWeightsAndCapacities=[
            {"VariantName": "AllTraffic", "DesiredWeight": 5.0, "DesiredInstanceCount": 3}
        ],
    )
    reach(bench, name, "InService")
    create_config(bench, f"{name}-next", variant(name))
    sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=f"{name}-next", **asked)
    reach(bench, name, "InService")
    told = describe(bench, name)
    (one,) = told["ProductionVariants"]
    assert (one["CurrentWeight"], one["CurrentInstanceCount"]) == (weight, count)
    assert ("DataCaptureConfig" in told) == captures


def test_an_endpoint_that_did_not_come_up_says_why_and_can_only_go(bench: Bench) -> None:
    sagemaker = bench.client("sagemaker")
    create_model(bench, "broken")
    bench.executor.replicas.dies["bad"] = "its last line"
    create_config(bench, "broken", variant("broken", VariantName="bad"))
    sagemaker.create_endpoint(EndpointName="broken", EndpointConfigName="broken")
    reach(bench, "broken", "Failed")
    told = describe(bench, "broken")
    assert "its last line" in told["FailureReason"]
    code, message = fault(
        sagemaker.update_endpoint, EndpointName="broken", EndpointConfigName="broken"
    )
    assert code == "ValidationException"
    assert "delete it and create it again" in message
    sagemaker.delete_endpoint(EndpointName="broken")
    sagemaker.get_waiter("endpoint_deleted").wait(EndpointName="broken")


def test_an_update_that_fails_leaves_what_served_and_says_why(bench: Bench) -> None:
    sagemaker = bench.client("sagemaker")
    create_endpoint(bench, "steady")
    bench.executor.replicas.dies["bad"] = "its last line"
    create_config(bench, "steady-next", variant("steady", VariantName="bad"))
    sagemaker.update_endpoint(EndpointName="steady", EndpointConfigName="steady-next")
    reach(bench, "steady", "InService")
    told = describe(bench, "steady")
    assert told["EndpointConfigName"] == "steady"
    assert "its last line" in told["FailureReason"]
    assert told["ProductionVariants"][0]["CurrentInstanceCount"] == 1
    create_config(bench, "steady-better", variant("steady", VariantName="good"))
    sagemaker.update_endpoint(EndpointName="steady", EndpointConfigName="steady-better")
    reach(bench, "steady", "InService")
    told = describe(bench, "steady")
    assert told["EndpointConfigName"] == "steady-better"
    assert "FailureReason" not in told
    fleets = {one.fleet for one in bench.state.replicas.select(endpoint=_number(bench, "steady"))}
    assert 3 in fleets


def _number(bench: Bench, name: str) -> int:
    endpoint = bench.state.endpoints.find(name)
    assert endpoint is not None
    return endpoint.number


def test_what_is_being_created_can_be_deleted(bench: Bench) -> None:
    sagemaker = bench.client("sagemaker")
    create_config(bench, "stuck")
    hold = bench.executor.replicas.preparation.hold
    hold.clear()
    try:
        sagemaker.create_endpoint(EndpointName="stuck", EndpointConfigName="stuck")
        told = describe(bench, "stuck")
        assert told["EndpointStatus"] == "Creating"
        assert told["ProductionVariants"][0]["VariantStatus"][0]["Status"] == "Creating"
        sagemaker.delete_endpoint(EndpointName="stuck")
    finally:
        hold.set()
    sagemaker.get_waiter("endpoint_deleted").wait(EndpointName="stuck")


def test_a_waiter_hears_of_the_end_at_once(bench: Bench) -> None:
    sagemaker = bench.client("sagemaker")
    create_config(bench, "awaited")
    hold = bench.executor.replicas.preparation.hold
    hold.clear()
    done = threading.Event()

    def wait() -> None:
        # It would ask again only after a minute.
        sagemaker.get_waiter("endpoint_in_service").wait(
            EndpointName="awaited", WaiterConfig={"Delay": 60, "MaxAttempts": 2}
        )
        done.set()

    sagemaker.create_endpoint(EndpointName="awaited", EndpointConfigName="awaited")
    waiter = threading.Thread(target=wait)
    waiter.start()
    hold.set()
    assert done.wait(45)
    waiter.join()


def test_weights_and_capacities(bench: Bench) -> None:
    sagemaker = bench.client("sagemaker")
    create_model(bench, "shared")
    create_endpoint(
        bench, "shared", variant("shared", VariantName="a"), variant("shared", VariantName="b")
    )
    answer = sagemaker.update_endpoint_weights_and_capacities(
        EndpointName="shared",
        DesiredWeightsAndCapacities=[
            {"VariantName": "a", "DesiredWeight": 9.0},
            {"VariantName": "b", "DesiredInstanceCount": 2},
        ],
    )
    assert answer["EndpointArn"] == ARN + "endpoint/shared"
    reach(bench, "shared", "InService")
    told = describe(bench, "shared")["ProductionVariants"]
    assert [(one["CurrentWeight"], one["CurrentInstanceCount"]) for one in told] == [(9, 1), (1, 2)]


@pytest.mark.parametrize(
    ("wishes", "said"),
    [
        ([{"VariantName": "c", "DesiredWeight": 1.0}], 'Could not find variant "c"'),
        ([{"VariantName": "a", "DesiredInstanceCount": 0}], "has 1 to"),
        ([{"VariantName": "a", "DesiredInstanceCount": INSTANCE_LIMIT + 1}], "has 1 to"),
        (
            [
                {"VariantName": "a", "DesiredWeight": 0.0},
                {"VariantName": "b", "DesiredWeight": 0.0},
            ],
            "at least one must be above 0",
        ),
        (
            [{"VariantName": "a", "DesiredWeight": 1.0}, {"VariantName": "a", "DesiredWeight": 2}],
            "'a' is given 2 times",
        ),
        (
            [{"VariantName": "a", "ServerlessUpdateConfig": {"MaxConcurrency": 2}}],
            "is not serverless",
        ),
    ],
    ids=["unknown", "none", "many", "weightless", "twice", "serverless"],
)
def test_weights_and_capacities_that_cannot_be(
    bench: Bench, wishes: list[dict[str, Any]], said: str
) -> None:
    if bench.state.endpoints.find("fixed") is None:
        create_model(bench, "fixed")
        create_endpoint(
            bench, "fixed", variant("fixed", VariantName="a"), variant("fixed", VariantName="b")
        )
    code, message = fault(
        bench.client("sagemaker").update_endpoint_weights_and_capacities,
        EndpointName="fixed",
        DesiredWeightsAndCapacities=wishes,
    )
    assert code == "ValidationException"
    assert said in message
    assert describe(bench, "fixed")["EndpointStatus"] == "InService"


def test_a_serverless_variant_shows_its_concurrency(bench: Bench) -> None:
    sagemaker = bench.client("sagemaker")
    create_model(bench, "idle")
    create_endpoint(bench, "idle", variant("idle", **SERVERLESS))
    (one,) = describe(bench, "idle")["ProductionVariants"]
    assert one["CurrentServerlessConfig"] == SERVERLESS["ServerlessConfig"]
    assert "CurrentInstanceCount" not in one
    sagemaker.update_endpoint_weights_and_capacities(
        EndpointName="idle",
        DesiredWeightsAndCapacities=[
            {"VariantName": "AllTraffic", "ServerlessUpdateConfig": {"MaxConcurrency": 7}}
        ],
    )
    reach(bench, "idle", "InService")
    (one,) = describe(bench, "idle")["ProductionVariants"]
    asked = {"MemorySizeInMB": 2048, "MaxConcurrency": 7}
    assert (one["CurrentServerlessConfig"], one["DesiredServerlessConfig"]) == (asked, asked)
    wishes = [{"VariantName": "AllTraffic", "DesiredInstanceCount": 2}]
    _, message = fault(
        sagemaker.update_endpoint_weights_and_capacities,
        EndpointName="idle",
        DesiredWeightsAndCapacities=wishes,
    )
    assert "give ServerlessUpdateConfig" in message


def test_shadows_capture_and_queues_are_shown(bench: Bench) -> None:
    create_model(bench, "copied")
    create_endpoint(
        bench,
        "copied",
        variant("copied"),
        ShadowProductionVariants=[
            variant("copied", VariantName="shadow", InitialVariantWeight=0.5)
        ],
        DataCaptureConfig=CAPTURE,
    )
    told = describe(bench, "copied")
    assert [one["VariantName"] for one in told["ProductionVariants"]] == ["AllTraffic"]
    (shadow,) = told["ShadowProductionVariants"]
    assert (shadow["VariantName"], shadow["CurrentWeight"]) == ("shadow", 0.5)
    assert told["DataCaptureConfig"] == {
        "EnableCapture": True,
        "CaptureStatus": "Started",
        "CurrentSamplingPercentage": 50,
        "DestinationS3Uri": CAPTURE["DestinationS3Uri"],
        "KmsKeyId": "",
    }
    left_out = {name: value for name, value in CAPTURE.items() if name != "EnableCapture"}
    create_endpoint(bench, "captured", variant("copied"), DataCaptureConfig=left_out)
    assert describe(bench, "captured")["DataCaptureConfig"] == told["DataCaptureConfig"]
    config = bench.client("sagemaker").describe_endpoint_config(EndpointConfigName="captured")
    assert config["DataCaptureConfig"] == CAPTURE
    switched_off = {**CAPTURE, "EnableCapture": False}
    create_endpoint(bench, "uncaptured", variant("copied"), DataCaptureConfig=switched_off)
    capture = describe(bench, "uncaptured")["DataCaptureConfig"]
    assert (capture["EnableCapture"], capture["CaptureStatus"]) == (False, "Stopped")
    create_endpoint(bench, "queued", variant("copied"), AsyncInferenceConfig=ASYNC)
    assert describe(bench, "queued")["AsyncInferenceConfig"] == ASYNC


@pytest.mark.parametrize(
    ("deployment", "said"),
    [
        (
            {
                "BlueGreenUpdatePolicy": {
                    "TrafficRoutingConfiguration": {
                        "Type": "CANARY",
                        "WaitIntervalInSeconds": 60,
                        "CanarySize": {"Type": "INSTANCE_COUNT", "Value": 1},
                    }
                }
            },
            "Traffic routing of type CANARY",
        ),
        (
            {
                "RollingUpdatePolicy": {
                    "MaximumBatchSize": {"Type": "INSTANCE_COUNT", "Value": 1},
                    "WaitIntervalInSeconds": 0,
                }
            },
            "RollingUpdatePolicy",
        ),
        (
            {"AutoRollbackConfiguration": {"Alarms": [{"AlarmName": "slow"}]}},
            "AutoRollbackConfiguration",
        ),
    ],
    ids=["canary", "rolling", "alarms"],
)
def test_deployments_that_are_not_offered_are_refused_by_name(
    bench: Bench, deployment: dict[str, Any], said: str
) -> None:
    if bench.state.endpoints.find("deployed") is None:
        create_endpoint(bench, "deployed")
    code, message = fault(
        bench.client("sagemaker").update_endpoint,
        EndpointName="deployed",
        EndpointConfigName="deployed",
        DeploymentConfig=deployment,
    )
    assert code == "ValidationException"
    assert message.startswith(f"{said} is not offered by Clary")


def test_a_deployment_may_be_retained(bench: Bench) -> None:
    sagemaker = bench.client("sagemaker")
    create_endpoint(bench, "as-before")
    deployment = {
        "BlueGreenUpdatePolicy": {
            "TrafficRoutingConfiguration": {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 0}
        }
    }
    asked: dict[str, Any] = {"EndpointName": "as-before", "EndpointConfigName": "as-before"}
    for changes in ({"DeploymentConfig": deployment}, {"RetainDeploymentConfig": True}):
        sagemaker.update_endpoint(**asked, **changes)
        reach(bench, "as-before", "InService")
        assert describe(bench, "as-before")["LastDeploymentConfig"] == deployment
    _, message = fault(
        sagemaker.update_endpoint,
        **asked,
        DeploymentConfig=deployment,
        RetainDeploymentConfig=True,
    )
    assert message == "RetainDeploymentConfig excludes DeploymentConfig."


def test_lists_come_newest_first_and_in_pages(bench: Bench) -> None:
    sagemaker = bench.client("sagemaker")
    create_model(bench, "paged")
    create_config(bench, "paged", variant("paged"))
    for number in range(3):
        sagemaker.create_endpoint(EndpointName=f"page-{number}", EndpointConfigName="paged")
    for number in range(3):
        reach(bench, f"page-{number}", "InService")
    pages = sagemaker.get_paginator("list_endpoints").paginate(
        NameContains="page-", StatusEquals="InService", PaginationConfig={"PageSize": 2}
    )
    names = [[one["EndpointName"] for one in page["Endpoints"]] for page in pages]
    assert names == [["page-2", "page-1"], ["page-0"]]
    assert sagemaker.list_endpoints(NameContains="page-", StatusEquals="Failed")["Endpoints"] == []


def test_search_finds_endpoints(bench: Bench) -> None:
    sagemaker = bench.client("sagemaker")
    create_endpoint(bench, "sought", AsyncInferenceConfig=ASYNC)
    sagemaker.add_tags(
        ResourceArn=ARN + "endpoint/sought", Tags=[{"Key": "team", "Value": "vision"}]
    )
    filters = [
        {"Name": "EndpointStatus", "Operator": "Equals", "Value": "InService"},
        {"Name": "Tags.team", "Operator": "Equals", "Value": "vision"},
    ]
    found = sagemaker.search(Resource="Endpoint", SearchExpression={"Filters": filters})["Results"]
    (one,) = [result["Endpoint"] for result in found]
    assert (one["EndpointName"], one["EndpointConfigName"]) == ("sought", "sought")
    assert one["ProductionVariants"][0]["CurrentInstanceCount"] == 1
    assert "AsyncInferenceConfig" not in one
