"""What CreateTrainingJob forbids beyond the service model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from clary.cores import usable_cores
from clary.formats.metric_pattern import compile_pattern
from clary.service.faults import validation
from clary.service.operations.debugger_checks import debugger_problems
from clary.service.operations.profiler_checks import profiler_problems
from clary.service.operations.rule_checks import rule_problems
from clary.service.requests.updates import RULES

# Hosts share this machine: each is a process, with a share of its cores.
HOST_LIMIT = max(8, 2 * usable_cores())


def check_request(request: Mapping[str, Any]) -> None:
    """Refuse a request that cannot become a job, with all that is wrong with it.

    Raises:
        Fault: a ValidationException.
    """
    found = [*problems(request), *duplicate_tags(request.get("Tags") or ())]
    if found:
        raise validation(" ".join(found))


def problems(request: Mapping[str, Any]) -> Iterator[str]:
    """All that is wrong with a request, its tags aside: a sentence each."""
    yield from _not_offered(request)
    yield from _algorithm(request["AlgorithmSpecification"])
    yield from _resources(request)
    yield from _stopping(request)
    yield from _channels(request)
    yield from debugger_problems(request)
    yield from profiler_problems(request, judged=bool(request.get(RULES)))
    yield from rule_problems(request)


def _not_offered(request: Mapping[str, Any]) -> Iterator[str]:
    if "ServerlessJobConfig" in request:
        yield "ServerlessJobConfig is not offered by Clary: give ResourceConfig instead."


def _algorithm(specification: Mapping[str, Any]) -> Iterator[str]:
    image, name = specification.get("TrainingImage"), specification.get("AlgorithmName")
    if image and name:
        yield "Both TrainingImage and AlgorithmName are set: exactly one of them is allowed."
    elif name:
        yield (
            f"AlgorithmName {name!r} is not offered by Clary: give a TrainingImage, such as a "
            "framework's or clary/image-classification."
        )
    elif not image:
        yield "Either TrainingImage or AlgorithmName must be set in AlgorithmSpecification."
    seen = set()
    for definition in specification.get("MetricDefinitions") or ():
        metric, pattern = definition["Name"], definition["Regex"]
        if metric in seen:
            yield f"Metric {metric!r} is defined twice."
        seen.add(metric)
        try:
            groups = compile_pattern(pattern).groups
        except ValueError as error:
            yield f"The regex {pattern!r} of metric {metric!r} is invalid: {error}."
            continue
        if not groups:
            yield (
                f"The regex {pattern!r} of metric {metric!r} has no capture group: put the "
                "number's part in parentheses."
            )


def _resources(request: Mapping[str, Any]) -> Iterator[str]:
    resources = request.get("ResourceConfig")
    if resources is None:
        if "ServerlessJobConfig" not in request:
            yield "ResourceConfig must be set."
        return
    if resources.get("InstanceGroups"):
        if "InstanceType" in resources or "InstanceCount" in resources:
            yield "InstanceGroups excludes InstanceType and InstanceCount in ResourceConfig."
    elif not resources.get("InstanceType"):
        yield "InstanceType must be set in ResourceConfig."
    groups = resources.get("InstanceGroups") or (resources,)
    hosts = sum(group.get("InstanceCount", 0) for group in groups)
    if hosts > HOST_LIMIT:
        yield (
            f"{hosts} instances are asked for, and a training job on this machine has at most "
            f"{HOST_LIMIT}: lower InstanceCount."
        )


def _stopping(request: Mapping[str, Any]) -> Iterator[str]:
    condition = request.get("StoppingCondition") or {}
    wait_s = condition.get("MaxWaitTimeInSeconds")
    spot = request.get("EnableManagedSpotTraining", False)
    if wait_s is not None and not spot:
        yield (
            "MaxWaitTimeInSeconds above 0 is only supported when EnableManagedSpotTraining is true."
        )
    if spot and (wait_s is None or wait_s < condition.get("MaxRuntimeInSeconds", 86_400)):
        yield (
            "Invalid MaxWaitTimeInSeconds. It must be present and be greater than or equal to "
            "MaxRuntimeInSeconds."
        )


def _channels(request: Mapping[str, Any]) -> Iterator[str]:
    default = request["AlgorithmSpecification"]["TrainingInputMode"]
    seen = set()
    for channel in request.get("InputDataConfig") or ():
        name = channel["ChannelName"]
        if name in seen:
            yield f"Channel {name!r} is given twice."
        seen.add(name)
        if name in {".", ".."}:
            yield f"Channel {name!r} would not be a folder of its own: choose another name."
        mode = channel.get("InputMode") or default
        source = channel["DataSource"].get("S3DataSource")
        if source is None:
            other = ", ".join(sorted(channel["DataSource"])) or "no source"
            yield f"Channel {name!r} has {other}: Clary offers S3DataSource."
            continue
        kind = source["S3DataType"]
        if kind not in {"S3Prefix", "ManifestFile", "AugmentedManifestFile"}:
            yield f"S3DataType {kind} of channel {name!r} is not offered by Clary."
        if mode == "FastFile" and kind != "S3Prefix":
            yield f"FastFile mode needs S3DataType S3Prefix; channel {name!r} has {kind}."
        if kind == "AugmentedManifestFile":
            if mode != "Pipe":
                yield f"AugmentedManifestFile needs Pipe mode; channel {name!r} has {mode}."
            if not source.get("AttributeNames"):
                yield f"AugmentedManifestFile needs AttributeNames in channel {name!r}."
        if mode != "Pipe" and channel.get("RecordWrapperType", "None") != "None":
            yield f"RecordWrapperType needs Pipe mode; channel {name!r} has {mode}."
        if mode == "FastFile" and channel.get("CompressionType", "None") != "None":
            yield f"CompressionType is not supported in FastFile mode; see channel {name!r}."


def check_tags(tags: Sequence[Mapping[str, str]]) -> None:
    """Check the tags of what has nothing else to be checked.

    Raises:
        Fault: keys are given twice.
    """
    problems = list(duplicate_tags(tags))
    if problems:
        raise validation(" ".join(problems))


def duplicate_tags(tags: Sequence[Mapping[str, str]]) -> Iterator[str]:
    """A sentence for each key that is given twice."""
    keys = [tag["Key"] for tag in tags]
    for key in sorted({key for key in keys if keys.count(key) > 1}):
        yield f"Duplicate tag keys found: {key}."
