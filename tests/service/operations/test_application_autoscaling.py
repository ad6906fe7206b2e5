"""Application Auto Scaling through boto3."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from clary.service.state.scaling import ScalingActivity
from tests.service.operations.conftest import Bench
from tests.service.operations.hosted import create_endpoint, create_model, fault, variant
from tests.service.operations.test_endpoint_configs import SERVERLESS

DIMENSION = "sagemaker:variant:DesiredInstanceCount"
RESOURCE = "endpoint/scaled/variant/AllTraffic"
TARGET: dict[str, Any] = {
    "ServiceNamespace": "sagemaker",
    "ResourceId": RESOURCE,
    "ScalableDimension": DIMENSION,
}
TRACKING: dict[str, Any] = {
    "TargetValue": 70.0,
    "PredefinedMetricSpecification": {
        "PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"
    },
    "ScaleInCooldown": 300,
    "ScaleOutCooldown": 60,
}
POLICY: dict[str, Any] = {
    **TARGET,
    "PolicyName": "by-requests",
    "PolicyType": "TargetTrackingScaling",
    "TargetTrackingScalingPolicyConfiguration": TRACKING,
}
BARE = {"ServiceNamespace": "sagemaker"}


@pytest.fixture(scope="module")
def scaling(bench: Bench) -> Any:
    """A client, with an endpoint `scaled` and a serverless one to scale."""
    create_endpoint(bench, "scaled")
    create_model(bench, "idle")
    create_endpoint(bench, "idle", variant("idle", **SERVERLESS))
    return bench.client("application-autoscaling")


def test_a_target_and_its_policy_from_their_creation_to_their_end(
    bench: Bench, scaling: Any
) -> None:
    arn = scaling.register_scalable_target(**TARGET, MinCapacity=1, MaxCapacity=3)[
        "ScalableTargetARN"
    ]
    assert arn.startswith("arn:aws:application-autoscaling:us-east-1:000000000000:scalable-target/")
    changed = scaling.register_scalable_target(
        **TARGET, MaxCapacity=4, SuspendedState={"DynamicScalingInSuspended": True}
    )
    assert changed["ScalableTargetARN"] == arn
    (told,) = scaling.describe_scalable_targets(**BARE)["ScalableTargets"]
    assert (told["ResourceId"], told["ScalableDimension"]) == (RESOURCE, DIMENSION)
    assert (told["MinCapacity"], told["MaxCapacity"]) == (1, 4)
    assert told["SuspendedState"]["DynamicScalingInSuspended"] is True
    assert told["SuspendedState"]["DynamicScalingOutSuspended"] is False
    assert "AWSServiceRoleForApplicationAutoScaling_SageMakerEndpoint" in told["RoleARN"]

    policy = scaling.put_scaling_policy(**POLICY)
    assert policy["PolicyARN"].endswith(f"resource/sagemaker/{RESOURCE}:policyName/by-requests")
    slower = {**TRACKING, "TargetValue": 90.0}
    again = {**POLICY, "TargetTrackingScalingPolicyConfiguration": slower}
    assert scaling.put_scaling_policy(**again)["PolicyARN"] == policy["PolicyARN"]
    (told,) = scaling.describe_scaling_policies(**BARE, ResourceId=RESOURCE)["ScalingPolicies"]
    assert told["TargetTrackingScalingPolicyConfiguration"] == slower
    assert told["PolicyName"] == "by-requests"
    code, message = fault(scaling.put_scaling_policy, **{**POLICY, "PolicyName": "another"})
    assert code == "ValidationException"
    assert message.startswith("Only one TargetTrackingScaling policy")

    named = {**TARGET, "PolicyName": "by-requests"}
    scaling.delete_scaling_policy(**named)
    assert fault(scaling.delete_scaling_policy, **named)[0] == "ObjectNotFoundException"
    scaling.put_scaling_policy(**POLICY)
    scaling.deregister_scalable_target(**TARGET)
    assert fault(scaling.deregister_scalable_target, **TARGET)[0] == "ObjectNotFoundException"
    assert scaling.describe_scalable_targets(**BARE)["ScalableTargets"] == []
    assert scaling.describe_scaling_policies(**BARE)["ScalingPolicies"] == []
    assert fault(scaling.put_scaling_policy, **POLICY)[0] == "ObjectNotFoundException"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"ResourceId": "endpoint/nobody/variant/AllTraffic"}, "Could not find endpoint"),
        ({"ResourceId": "endpoint/scaled/variant/nobody"}, 'Could not find variant "nobody"'),
        ({"ResourceId": "scaled"}, "give endpoint/NAME/variant/VARIANT"),
        ({"ResourceId": "endpoint/idle/variant/AllTraffic"}, "is serverless"),
        ({"ScalableDimension": "sagemaker:variant:DesiredProvisionedConcurrency"}, "not offered"),
        ({"ServiceNamespace": "ecs", "ScalableDimension": "ecs:service:DesiredCount"}, "not off"),
        ({"MinCapacity": None}, "MinCapacity and MaxCapacity must be set"),
        ({"MinCapacity": 3, "MaxCapacity": 2}, "the maximum must be at least the minimum"),
        ({"MinCapacity": 0}, "has 1 to"),
        ({"MaxCapacity": 1000}, "has 1 to"),
        ({"Tags": {"team": "vision"}}, "Tags of scalable targets are not offered"),
    ],
    ids=lambda value: "-".join(value.split()[:4]) if isinstance(value, str) else "",
)
def test_targets_that_cannot_be_are_refused(
    scaling: Any, changes: dict[str, Any], said: str
) -> None:
    asked = {**TARGET, "MinCapacity": 1, "MaxCapacity": 2, **changes}
    wanted = {name: value for name, value in asked.items() if value is not None}
    code, message = fault(scaling.register_scalable_target, **wanted)
    assert code == "ValidationException"
    assert said in message
    assert scaling.describe_scalable_targets(**BARE)["ScalableTargets"] == []


def tracking(**changes: Any) -> dict[str, Any]:
    wanted = {**TRACKING, **changes}
    members = {name: value for name, value in wanted.items() if value is not None}
    return {"TargetTrackingScalingPolicyConfiguration": members}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"PolicyType": None}, "PolicyType StepScaling is not offered by Clary"),
        ({"PolicyType": "PredictiveScaling"}, "PolicyType PredictiveScaling is not offered"),
        ({"TargetTrackingScalingPolicyConfiguration": None}, "must be set for PolicyType"),
        (tracking(PredefinedMetricSpecification=None), "a customized metric is not offered"),
        (
            tracking(
                PredefinedMetricSpecification={
                    "PredefinedMetricType": "SageMakerVariantConcurrentRequestsPerModelHighResolut"
                    "ion"
                }
            ),
            "Scaling by SageMakerVariantConcurrentRequestsPerModelHighResolution is not offered",
        ),
        (tracking(TargetValue=0.0), "TargetValue is 0"),
        (tracking(ScaleInCooldown=-1), "ScaleInCooldown is -1"),
    ],
    ids=["step", "predictive", "bare", "customized", "other", "target", "cooldown"],
)
def test_policies_that_cannot_be_are_refused(
    scaling: Any, changes: dict[str, Any], said: str
) -> None:
    scaling.register_scalable_target(**TARGET, MinCapacity=1, MaxCapacity=2)
    asked = {**POLICY, **changes}
    wanted = {name: value for name, value in asked.items() if value is not None}
    code, message = fault(scaling.put_scaling_policy, **wanted)
    scaling.deregister_scalable_target(**TARGET)
    assert code == "ValidationException"
    assert said in message


def test_activities_come_newest_first_and_in_pages(bench: Bench, scaling: Any) -> None:
    activities = bench.state.scaling.activities
    for number in range(3):
        activities.add(
            ScalingActivity(
                activity=str(uuid.UUID(int=number)),
                resource="endpoint/paged/variant/AllTraffic",
                description=f"Setting desired instance count to {number}.",
                cause="more than the target",
                started_ms=number * 1000,
            )
        )
    activities.end("endpoint/paged/variant/AllTraffic", "Successful", "It was done.", 5000)
    asked = {**BARE, "ResourceId": "endpoint/paged/variant/AllTraffic"}
    pages = [
        page["ScalingActivities"]
        for page in scaling.get_paginator("describe_scaling_activities").paginate(
            **asked, PaginationConfig={"PageSize": 2}
        )
    ]
    told = [one["Description"].split()[-1] for page in pages for one in page]
    assert ([len(page) for page in pages], told) == ([2, 1], ["2.", "1.", "0."])
    newest = pages[0][0]
    assert (newest["StatusCode"], newest["StatusMessage"]) == ("Successful", "It was done.")
    assert newest["EndTime"] > newest["StartTime"]
    invalid = fault(scaling.describe_scaling_activities, **asked, NextToken="none of ours")
    assert invalid[0] == "InvalidNextTokenException"


def test_what_scales_an_endpoint_goes_with_it(bench: Bench, scaling: Any) -> None:
    sagemaker = bench.client("sagemaker")
    create_endpoint(bench, "brief")
    target = {**TARGET, "ResourceId": "endpoint/brief/variant/AllTraffic"}
    scaling.register_scalable_target(**target, MinCapacity=1, MaxCapacity=2)
    scaling.put_scaling_policy(**{**POLICY, **target})
    sagemaker.delete_endpoint(EndpointName="brief")
    sagemaker.get_waiter("endpoint_deleted").wait(EndpointName="brief")
    assert scaling.describe_scalable_targets(**BARE)["ScalableTargets"] == []
    assert scaling.describe_scaling_policies(**BARE)["ScalingPolicies"] == []
