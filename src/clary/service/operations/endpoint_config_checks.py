"""What CreateEndpointConfig cannot be asked for, beyond what the service model forbids."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from clary.service.faults import validation
from clary.service.operations.model_checks import is_multi_model
from clary.service.operations.rule_checks import uri_problems
from clary.service.operations.training_job_checks import duplicate_tags

PRODUCTION, SHADOW = "ProductionVariants", "ShadowProductionVariants"
# Each is a process or more, with a model of its own in memory.
INSTANCE_LIMIT = 32
_MEMORY_STEP_MB = 1024

_NOT_OFFERED: Mapping[str, str] = {
    "ExplainerConfig": "`clary explain` shows what a model looked at",
    "CrossRegionTrafficConfig": "there is one region",
}
_NOT_OFFERED_OF_VARIANTS: Mapping[str, str] = {
    "AcceleratorType": "leave it out",
    "AcceleratorPartitionLayouts": "leave it out",
    "CapacityReservationConfig": "leave it out",
    "CoreDumpConfig": "leave it out",
    "InstancePools": "give InstanceType instead",
    "ManagedInstanceScaling": "register a scalable target of application-autoscaling instead",
}
_STRATEGIES = ("LEAST_OUTSTANDING_REQUESTS", "RANDOM")


def check_config_request(request: Mapping[str, Any], tags: Sequence[Mapping[str, str]]) -> None:
    """Check what CreateEndpointConfig asks for.

    Args:
        request: its parameters, without the tags.
        tags: the tags.

    Raises:
        Fault: what is wrong with it, in one answer.
    """
    problems = [
        *(
            f"{member} is not offered by Clary: {remedy}."
            for member, remedy in _NOT_OFFERED.items()
            if member in request
        ),
        *_variants(request),
        *_shadows(request),
        *_serverless(request),
        *_data_capture(request),
        *_async(request),
        *duplicate_tags(tags),
    ]
    if problems:
        raise validation(" ".join(problems))


def check_models(request: Mapping[str, Any], models: Mapping[str, Mapping[str, Any]]) -> None:
    """Check that the models can be served as the configuration asks.

    Args:
        request: CreateEndpointConfig's parameters, which have been checked.
        models: CreateModel's parameters of each model that it names.

    Raises:
        Fault: what is wrong.
    """
    for member in (PRODUCTION, SHADOW):
        for variant in request.get(member) or ():
            if not is_multi_model(models[variant["ModelName"]]):
                continue
            name = variant["VariantName"]
            if "ServerlessConfig" in variant:
                raise validation(
                    f"Variant {name!r} is serverless and its model is a MultiModel one: give "
                    "InstanceType and InitialInstanceCount instead of ServerlessConfig."
                )
            if member == SHADOW:
                raise validation(
                    f"The model of shadow variant {name!r} is a MultiModel one: shadow variants "
                    "serve a single model."
                )


def _all_variants(request: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [variant for member in (PRODUCTION, SHADOW) for variant in request.get(member) or ()]


def _variants(request: Mapping[str, Any]) -> Iterator[str]:
    counts = Counter(variant["VariantName"] for variant in _all_variants(request))
    for name in sorted(name for name, count in counts.items() if count > 1):
        yield f"VariantName {name!r} is used {counts[name]} times: names must be unique."
    for variant in _all_variants(request):
        yield from _variant(variant)
    variants = request[PRODUCTION]
    if not any(variant["InitialVariantWeight"] > 0 for variant in variants):
        yield "InitialVariantWeight is 0 in all variants: at least one must be above 0."


def _variant(variant: Mapping[str, Any]) -> Iterator[str]:
    name = variant["VariantName"]
    for member, remedy in _NOT_OFFERED_OF_VARIANTS.items():
        if variant.get(member):
            yield f"{member} of variant {name!r} is not offered by Clary: {remedy}."
    if variant.get("EnableSSMAccess"):
        yield f"EnableSSMAccess of variant {name!r} is not offered by Clary: leave it out."
    if not variant.get("ModelName"):
        yield (
            f"ModelName must be set in variant {name!r}: inference components are not offered by "
            "Clary."
        )
    strategy = (variant.get("RoutingConfig") or {}).get("RoutingStrategy", "RANDOM")
    if strategy not in _STRATEGIES:
        yield (
            f"RoutingStrategy {strategy} of variant {name!r} is not offered by Clary: give "
            f"{' or '.join(_STRATEGIES)}."
        )
    sized = [one for one in ("InstanceType", "InitialInstanceCount") if one in variant]
    if "ServerlessConfig" in variant:
        if sized:
            yield f"ServerlessConfig excludes {' and '.join(sized)} in variant {name!r}."
        return
    for member in ("InstanceType", "InitialInstanceCount"):
        if member not in variant and "InstancePools" not in variant:
            yield f"{member} must be set in variant {name!r}, or ServerlessConfig instead."
    yield from instance_problems("InitialInstanceCount", name, variant.get("InitialInstanceCount"))


def instance_problems(member: str, variant: str, count: int | None) -> Iterator[str]:
    """What is wrong with the number of a variant's instances: a sentence, or none.

    Args:
        member: how the request calls it.
        variant: the variant's name.
        count: what is asked for; None where nothing is.
    """
    if count is not None and not 1 <= count <= INSTANCE_LIMIT:
        yield (
            f"{member} of variant {variant!r} is {count}, and a variant on this machine has 1 to "
            f"{INSTANCE_LIMIT} instances."
        )


def _shadows(request: Mapping[str, Any]) -> Iterator[str]:
    shadows = request.get(SHADOW) or ()
    if not shadows:
        return
    variants = request[PRODUCTION]
    if len(variants) > 1 or len(shadows) > 1:
        yield (
            f"{len(shadows)} shadow variants are asked for beside {len(variants)} production "
            "variants: one shadow variant beside one production variant is supported."
        )
    if any("ServerlessConfig" in variant for variant in (*variants, *shadows)):
        yield "ShadowProductionVariants need instances: ServerlessConfig excludes them."
    if "AsyncInferenceConfig" in request:
        yield "ShadowProductionVariants exclude AsyncInferenceConfig."
    weight = variants[0]["InitialVariantWeight"]
    for shadow in shadows:
        if shadow["InitialVariantWeight"] > weight:
            yield (
                f"InitialVariantWeight of shadow variant {shadow['VariantName']!r} is "
                f"{shadow['InitialVariantWeight']:g}: it is at most that of the production "
                f"variant, {weight:g}, which is all of the traffic."
            )


def _serverless(request: Mapping[str, Any]) -> Iterator[str]:
    variants = request[PRODUCTION]
    serverless = [variant for variant in variants if "ServerlessConfig" in variant]
    if not serverless:
        return
    if len(variants) > 1:
        yield (
            f"{len(variants)} variants are asked for, and an endpoint with ServerlessConfig has "
            "one."
        )
    for member in ("DataCaptureConfig", "AsyncInferenceConfig"):
        if member in request:
            yield f"{member} is not supported on an endpoint with ServerlessConfig."
    for variant in serverless:
        config, name = variant["ServerlessConfig"], variant["VariantName"]
        if config["MemorySizeInMB"] % _MEMORY_STEP_MB:
            yield (
                f"MemorySizeInMB of variant {name!r} is {config['MemorySizeInMB']}: it must be a "
                f"multiple of {_MEMORY_STEP_MB}, up to 6144."
            )
        yield from concurrency_problems(name, config)


def concurrency_problems(variant: str, config: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with the concurrency of a serverless variant: a sentence, or none.

    Args:
        variant: its name.
        config: its ServerlessConfig.
    """
    provisioned, most = config.get("ProvisionedConcurrency"), config.get("MaxConcurrency")
    if provisioned is not None and most is not None and provisioned > most:
        yield (
            f"ProvisionedConcurrency of variant {variant!r} is {provisioned}: it must be at most "
            f"MaxConcurrency, {most}."
        )


def _data_capture(request: Mapping[str, Any]) -> Iterator[str]:
    capture = request.get("DataCaptureConfig")
    if capture is None:
        return
    for problem in uri_problems(
        "DestinationS3Uri of DataCaptureConfig", capture["DestinationS3Uri"]
    ):
        yield f"{problem}."
    modes = [option["CaptureMode"] for option in capture["CaptureOptions"]]
    if len(set(modes)) < len(modes):
        yield f"CaptureOptions name a CaptureMode twice: {', '.join(modes)}."


def _async(request: Mapping[str, Any]) -> Iterator[str]:
    config = request.get("AsyncInferenceConfig")
    if config is None:
        return
    output = config["OutputConfig"]
    if "S3OutputPath" not in output:
        yield "S3OutputPath must be set in the OutputConfig of AsyncInferenceConfig."
    for member in ("S3OutputPath", "S3FailurePath"):
        for problem in uri_problems(member, output.get(member, "s3://bucket/")):
            yield f"{problem}."
    if "DataCaptureConfig" in request:
        yield "DataCaptureConfig is not offered by Clary beside AsyncInferenceConfig."
    if output.get("NotificationConfig"):
        yield (
            "NotificationConfig is not offered by Clary, which has no SNS: leave it out, and look "
            "for the object at OutputLocation or FailureLocation."
        )
