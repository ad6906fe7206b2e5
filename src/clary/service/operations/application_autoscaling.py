"""Application Auto Scaling for the variants of endpoints: what is to be kept in which bounds."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from clary import clock
from clary.service.call import Call
from clary.service.faults import Fault, validation
from clary.service.office import Handler, Office
from clary.service.operations.pages import page
from clary.service.operations.scaling_checks import (
    DIMENSION,
    NAMESPACE,
    check_policy,
    check_resource,
    check_target,
)
from clary.service.operations.times import timestamp
from clary.service.state.scaling import ScalableTarget, ScalingActivity, ScalingPolicy

PAGE_SIZE = 50
_ROLE = (
    "arn:aws:iam::{account}:role/aws-service-role/sagemaker.application-autoscaling.amazonaws.com/"
    "AWSServiceRoleForApplicationAutoScaling_SageMakerEndpoint"
)
_SUSPENDED = {
    "DynamicScalingInSuspended": False,
    "DynamicScalingOutSuspended": False,
    "ScheduledScalingSuspended": False,
}
T = TypeVar("T")


def register_scalable_target(office: Office, call: Call) -> Mapping[str, Any]:
    """Keep a variant's instances between two numbers."""
    asked = call.parameters
    check_resource(office.state, asked)
    if asked.get("Tags"):
        raise validation("Tags of scalable targets are not offered by Clary: leave Tags out.")
    resource, at_ms = asked["ResourceId"], clock.now_ms()

    def registered(target: ScalableTarget) -> ScalableTarget:
        changed = dataclasses.replace(
            target,
            minimum=asked.get("MinCapacity", target.minimum),
            maximum=asked.get("MaxCapacity", target.maximum),
            role=asked.get("RoleARN", target.role),
            suspended={**target.suspended, **asked.get("SuspendedState", {})},
        )
        check_target(changed.minimum, changed.maximum)
        return changed

    target = office.state.scaling.targets.change(resource, registered)
    if target is None:
        if "MinCapacity" not in asked or "MaxCapacity" not in asked:
            raise validation(
                "MinCapacity and MaxCapacity must be set to register a new scalable target."
            )
        target = registered(
            ScalableTarget(
                name=resource,
                arn=office.arn(f"scalable-target/{uuid.uuid4().hex[:25]}", NAMESPACE),
                minimum=asked["MinCapacity"],
                maximum=asked["MaxCapacity"],
                role=asked.get("RoleARN", _ROLE.format(account=office.account)),
                suspended=_SUSPENDED,
                created_ms=at_ms,
            )
        )
        # Somebody may have registered it just now; then it is theirs that is changed.
        if office.state.scaling.targets.add(target) is not None:
            target = office.state.scaling.targets.change(resource, registered) or target
    office.supervisor.endpoints.wake()
    return {"ScalableTargetARN": target.arn}


def describe_scalable_targets(office: Office, call: Call) -> Mapping[str, Any]:
    """Show the scalable targets."""
    asked = call.parameters
    if not _is_ours(asked):
        return {"ScalableTargets": []}
    wanted = asked.get("ResourceIds")
    targets = [
        target
        for target in office.state.scaling.targets.select()
        if not wanted or target.name in wanted
    ]
    return _paged("ScalableTargets", targets, _target, asked)


def deregister_scalable_target(office: Office, call: Call) -> Mapping[str, Any]:
    """Scale a variant no more; its policies are forgotten, its instances stay."""
    resource = call.parameters["ResourceId"]
    if not _is_ours(call.parameters) or not office.state.forget_scalable_target(resource):
        raise _no_such_target(call.parameters)
    return {}


def put_scaling_policy(office: Office, call: Call) -> Mapping[str, Any]:
    """Set, or change, how a variant is scaled."""
    asked = call.parameters
    check_resource(office.state, asked)
    resource, name = asked["ResourceId"], asked["PolicyName"]
    scaling = office.state.scaling
    if scaling.targets.find(resource) is None:
        raise _no_such_target(asked)
    configuration = check_policy(asked)
    others = [one for one in scaling.policies.of(resource) if one.policy != name]
    if others:
        raise validation(
            "Only one TargetTrackingScaling policy for a given metric specification is allowed: "
            f"{resource} has {others[0].policy!r}."
        )

    def put(policy: ScalingPolicy) -> ScalingPolicy:
        return dataclasses.replace(policy, configuration=configuration)

    policy = scaling.policies.change(_policy_name(resource, name), put)
    if policy is None:
        place = f"scalingPolicy:{uuid.uuid4()}:resource/sagemaker/{resource}:policyName/{name}"
        policy = ScalingPolicy(
            name=_policy_name(resource, name),
            policy=name,
            arn=office.arn(place, "autoscaling"),
            resource=resource,
            configuration=configuration,
            created_ms=clock.now_ms(),
        )
        earlier = scaling.policies.add(policy)
        if earlier is not None:
            policy = scaling.policies.change(policy.name, put) or policy
    office.supervisor.endpoints.wake()
    return {"PolicyARN": policy.arn, "Alarms": []}


def describe_scaling_policies(office: Office, call: Call) -> Mapping[str, Any]:
    """Show the scaling policies."""
    asked = call.parameters
    if not _is_ours(asked):
        return {"ScalingPolicies": []}
    names, resource = asked.get("PolicyNames"), asked.get("ResourceId")
    policies = [
        policy
        for policy in office.state.scaling.policies.select()
        if (not names or policy.policy in names) and resource in {None, policy.resource}
    ]
    return _paged("ScalingPolicies", policies, _policy, asked)


def delete_scaling_policy(office: Office, call: Call) -> Mapping[str, Any]:
    """Forget a scaling policy; the variant keeps its instances."""
    asked = call.parameters
    name = _policy_name(asked["ResourceId"], asked["PolicyName"])
    if not _is_ours(asked) or office.state.scaling.policies.remove(name) is None:
        raise Fault(
            "ObjectNotFoundException",
            f"No scaling policy found for service namespace: {asked['ServiceNamespace']}, "
            f"resource ID: {asked['ResourceId']}, scalable dimension: "
            f"{asked['ScalableDimension']}, policy name: {asked['PolicyName']}",
        )
    return {}


def describe_scaling_activities(office: Office, call: Call) -> Mapping[str, Any]:
    """Show what scaling has done in the last six weeks, the newest first."""
    asked = call.parameters
    if not _is_ours(asked):
        return {"ScalingActivities": []}
    activities = office.state.scaling.activities.select(asked.get("ResourceId"))
    return _paged("ScalingActivities", activities, _activity, asked, descending=True)


def _is_ours(asked: Mapping[str, Any]) -> bool:
    dimension = asked.get("ScalableDimension", DIMENSION)
    return (asked["ServiceNamespace"], dimension) == ("sagemaker", DIMENSION)


def _policy_name(resource: str, name: str) -> str:
    return f"{resource} policy {name}"


def _no_such_target(asked: Mapping[str, Any]) -> Fault:
    return Fault(
        "ObjectNotFoundException",
        f"No scalable target registered for service namespace: {asked['ServiceNamespace']}, "
        f"resource ID: {asked['ResourceId']}, scalable dimension: {asked['ScalableDimension']}",
    )


def _paged(
    member: str,
    found: Sequence[T],
    shown: Callable[[T], dict[str, Any]],
    asked: Mapping[str, Any],
    *,
    descending: bool = False,
) -> Mapping[str, Any]:
    def place(one: Any) -> tuple[int]:
        return (one.number,)

    size = min(max(1, asked.get("MaxResults", PAGE_SIZE)), PAGE_SIZE)
    try:
        chosen, token = page(found, place, asked.get("NextToken"), size, descending=descending)
    except ValueError as error:
        raise Fault("InvalidNextTokenException", f"Invalid NextToken: {error}.") from error
    answer: dict[str, Any] = {member: [shown(one) for one in chosen]}
    if token is not None:
        answer["NextToken"] = token
    return answer


def _target(target: ScalableTarget) -> dict[str, Any]:
    return {
        "ServiceNamespace": "sagemaker",
        "ResourceId": target.name,
        "ScalableDimension": DIMENSION,
        "MinCapacity": target.minimum,
        "MaxCapacity": target.maximum,
        "RoleARN": target.role,
        "CreationTime": timestamp(target.created_ms),
        "SuspendedState": target.suspended,
        "ScalableTargetARN": target.arn,
    }


def _policy(policy: ScalingPolicy) -> dict[str, Any]:
    return {
        "PolicyARN": policy.arn,
        "PolicyName": policy.policy,
        "ServiceNamespace": "sagemaker",
        "ResourceId": policy.resource,
        "ScalableDimension": DIMENSION,
        "PolicyType": "TargetTrackingScaling",
        "TargetTrackingScalingPolicyConfiguration": policy.configuration,
        "Alarms": [],
        "CreationTime": timestamp(policy.created_ms),
    }


def _activity(activity: ScalingActivity) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "ActivityId": activity.activity,
        "ServiceNamespace": "sagemaker",
        "ResourceId": activity.resource,
        "ScalableDimension": DIMENSION,
        "Description": activity.description,
        "Cause": activity.cause,
        "StartTime": timestamp(activity.started_ms),
        "StatusCode": activity.status,
    }
    if activity.ended_ms is not None:
        shown["EndTime"] = timestamp(activity.ended_ms)
    if activity.message is not None:
        shown["StatusMessage"] = activity.message
    return shown


OPERATIONS: dict[str, Handler] = {
    "RegisterScalableTarget": register_scalable_target,
    "DescribeScalableTargets": describe_scalable_targets,
    "DeregisterScalableTarget": deregister_scalable_target,
    "PutScalingPolicy": put_scaling_policy,
    "DescribeScalingPolicies": describe_scaling_policies,
    "DeleteScalingPolicy": delete_scaling_policy,
    "DescribeScalingActivities": describe_scaling_activities,
}
