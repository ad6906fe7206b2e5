"""Endpoints as the API shows them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from clary.service.executors.served_models import only_container
from clary.service.operations.times import timestamp
from clary.service.state.endpoints import (
    EndpointRecord,
    Pending,
    VariantState,
    model_request,
    variant_request,
)
from clary.service.state.replicas import ReplicaRecord

# A reason is at most so long.
_REASON_CHARACTERS = 1024
# What SageMaker says of each variant while its endpoint is in a status.
_VARIANT_STATUSES: Mapping[str, str] = {
    "Creating": "Creating",
    "Updating": "Updating",
    "Deleting": "Deleting",
}


def description(endpoint: EndpointRecord, serving: Sequence[ReplicaRecord]) -> dict[str, Any]:
    """An endpoint as DescribeEndpoint answers.

    Args:
        endpoint: the endpoint.
        serving: those of its replicas that serve.
    """
    config = endpoint.config
    described: dict[str, Any] = {**summary(endpoint), "EndpointConfigName": endpoint.config_name}
    counts = _counted(serving, endpoint.fleet)
    status = _VARIANT_STATUSES.get(endpoint.status)
    for member, shadow in (("ProductionVariants", False), ("ShadowProductionVariants", True)):
        shown = [
            {
                **_variant(config, variant, counts[variant.name], endpoint.created_ms),
                **_status(status, endpoint.modified_ms),
            }
            for variant in endpoint.variants
            if variant.shadow == shadow
        ]
        if shown:
            described[member] = shown
    if "DataCaptureConfig" in config:
        described["DataCaptureConfig"] = _capture(config["DataCaptureConfig"], endpoint.status)
    if "AsyncInferenceConfig" in config:
        described["AsyncInferenceConfig"] = config["AsyncInferenceConfig"]
    if "MetricsConfig" in config:
        described["MetricsConfig"] = config["MetricsConfig"]
    if endpoint.deployment:
        described["LastDeploymentConfig"] = endpoint.deployment
    if endpoint.failure:
        described["FailureReason"] = endpoint.failure[:_REASON_CHARACTERS]
    if endpoint.pending is not None:
        described["PendingDeploymentSummary"] = _deployment(endpoint.pending, serving)
    return described


def summary(endpoint: EndpointRecord) -> dict[str, Any]:
    """An endpoint as ListEndpoints answers."""
    return {
        "EndpointName": endpoint.name,
        "EndpointArn": endpoint.arn,
        "EndpointStatus": endpoint.status,
        "CreationTime": timestamp(endpoint.created_ms),
        "LastModifiedTime": timestamp(endpoint.modified_ms),
    }


def _variant(
    config: Mapping[str, Any], variant: VariantState, instances: int, at_ms: int
) -> dict[str, Any]:
    asked = variant_request(config, variant.name)
    image = only_container(model_request(config, variant.name)).get("Image")
    shown: dict[str, Any] = {
        "VariantName": variant.name,
        "CurrentWeight": variant.weight,
        "DesiredWeight": variant.desired_weight,
    }
    if image:
        shown["DeployedImages"] = [
            {"SpecifiedImage": image, "ResolvedImage": image, "ResolutionTime": timestamp(at_ms)}
        ]
    serverless = asked.get("ServerlessConfig")
    if serverless:
        shown["CurrentServerlessConfig"] = serverless
        shown["DesiredServerlessConfig"] = variant.desired_serverless or serverless
    else:
        shown["CurrentInstanceCount"] = instances
        shown["DesiredInstanceCount"] = variant.desired_count
    if "RoutingConfig" in asked:
        shown["RoutingConfig"] = asked["RoutingConfig"]
    return shown


def _deployment(pending: Pending, serving: Iterable[ReplicaRecord]) -> dict[str, Any]:
    counts = _counted(serving, pending.fleet)
    shown: dict[str, Any] = {
        "EndpointConfigName": pending.config_name,
        "StartTime": timestamp(pending.started_ms),
    }
    for member, shadow in (("ProductionVariants", False), ("ShadowProductionVariants", True)):
        variants = []
        for variant in pending.variants:
            if variant.shadow == shadow:
                count = counts[variant.name]
                one = _variant(pending.config, variant, count, pending.started_ms)
                one.update(_status("Creating", pending.started_ms))
                asked = variant_request(pending.config, variant.name)
                if "InstanceType" in asked:
                    one["InstanceType"] = asked["InstanceType"]
                variants.append(one)
        if variants:
            shown[member] = variants
    return shown


def _counted(serving: Iterable[ReplicaRecord], fleet: int) -> Counter[str]:
    return Counter(replica.variant for replica in serving if replica.fleet == fleet)


def _status(status: str | None, since_ms: int) -> dict[str, Any]:
    if status is None:
        return {}
    return {"VariantStatus": [{"Status": status, "StartTime": timestamp(since_ms)}]}


def _capture(config: Mapping[str, Any], status: str) -> dict[str, Any]:
    enabled = config["EnableCapture"]
    captures = enabled and status in {"InService", "Updating"}
    return {
        "EnableCapture": enabled,
        "CaptureStatus": "Started" if captures else "Stopped",
        "CurrentSamplingPercentage": config["InitialSamplingPercentage"],
        "DestinationS3Uri": config["DestinationS3Uri"],
        "KmsKeyId": config.get("KmsKeyId", ""),
    }
