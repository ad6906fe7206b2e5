"""What Application Auto Scaling cannot be asked for, beyond what its service model forbids."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from clary.service.faults import validation
from clary.service.operations.endpoint_config_checks import INSTANCE_LIMIT
from clary.service.state.endpoints import variant_request

if TYPE_CHECKING:
    from clary.service.state.state import State

NAMESPACE = "application-autoscaling"
DIMENSION = "sagemaker:variant:DesiredInstanceCount"
METRIC = "SageMakerVariantInvocationsPerInstance"
TRACKING = "TargetTrackingScaling"

_RESOURCE = re.compile(r"endpoint/(?P<endpoint>[^/]+)/variant/(?P<variant>[^/]+)")


def check_resource(state: State, asked: Mapping[str, Any]) -> None:
    """Check that a request means the instances of a variant that is there.

    Args:
        state: where endpoints are.
        asked: a request's parameters.

    Raises:
        Fault: it means something else.
    """
    namespace, dimension = asked["ServiceNamespace"], asked["ScalableDimension"]
    if namespace != "sagemaker" or dimension != DIMENSION:
        raise validation(
            f"{dimension} of {namespace} is not offered by Clary: {DIMENSION} of sagemaker is."
        )
    resource = asked["ResourceId"]
    named = _RESOURCE.fullmatch(resource)
    if named is None:
        raise validation(
            f"ResourceId {resource!r} is no variant: give endpoint/NAME/variant/VARIANT."
        )
    endpoint = state.endpoints.find(named["endpoint"])
    if endpoint is None:
        raise validation(f'Could not find endpoint "{named["endpoint"]}".')
    variant = endpoint.variant(named["variant"])
    if variant is None:
        known = ", ".join(one.name for one in endpoint.variants)
        raise validation(
            f'Could not find variant "{named["variant"]}" of endpoint "{endpoint.name}": it has '
            f"{known}."
        )
    if "ServerlessConfig" in variant_request(endpoint.config, variant.name):
        raise validation(
            f"Variant {variant.name!r} of endpoint {endpoint.name!r} is serverless: its instances "
            "come and go with the requests."
        )


def check_target(minimum: int, maximum: int) -> None:
    """Check the bounds of a target.

    Args:
        minimum: of instances.
        maximum: of instances.

    Raises:
        Fault: they are none, or not possible here.
    """
    if minimum > maximum:
        raise validation(
            f"MinCapacity is {minimum} and MaxCapacity is {maximum}: the maximum must be at least "
            "the minimum."
        )
    if minimum < 1 or maximum > INSTANCE_LIMIT:
        raise validation(
            f"MinCapacity is {minimum} and MaxCapacity is {maximum}: a variant on this machine has "
            f"1 to {INSTANCE_LIMIT} instances."
        )


def check_policy(asked: Mapping[str, Any]) -> Mapping[str, Any]:
    """Check how a variant is to be scaled.

    Args:
        asked: PutScalingPolicy's parameters.

    Returns:
        TargetTrackingScalingPolicyConfiguration.

    Raises:
        Fault: it is to be scaled in a way that is not offered.
    """
    kind = asked.get("PolicyType", "StepScaling")
    if kind != TRACKING:
        raise validation(
            f"PolicyType {kind} is not offered by Clary: give {TRACKING} with the metric {METRIC}."
        )
    configuration = asked.get("TargetTrackingScalingPolicyConfiguration")
    if configuration is None:
        raise validation(
            f"TargetTrackingScalingPolicyConfiguration must be set for PolicyType {TRACKING}."
        )
    metric = configuration.get("PredefinedMetricSpecification", {}).get("PredefinedMetricType")
    if "CustomizedMetricSpecification" in configuration or metric != METRIC:
        named = metric or "a customized metric"
        raise validation(
            f"Scaling by {named} is not offered by Clary: give PredefinedMetricType {METRIC}."
        )
    target = configuration["TargetValue"]
    if not (math.isfinite(target) and target > 0):
        raise validation(f"TargetValue is {target:g}: it must be above 0, in invocations a minute.")
    for member in ("ScaleInCooldown", "ScaleOutCooldown"):
        if configuration.get(member, 0) < 0:
            raise validation(f"{member} is {configuration[member]}: it must be 0 seconds or more.")
    found: Mapping[str, Any] = configuration
    return found
