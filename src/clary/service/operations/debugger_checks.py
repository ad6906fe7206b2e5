"""What CreateTrainingJob forbids of the debugger beyond the service model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from clary.errors import ClaryError, UsageError
from clary.formats.rule_parameters import (
    ACTIONS_KEY,
    BUILT_IN_RULES,
    RULE_KEY,
    SOURCE_KEY,
    other_trials,
    parse_parameters,
)
from clary.service.executors.mirrors import folder_inside
from clary.service.executors.places import split_uri
from clary.service.executors.rule_configurations import (
    BUILT_IN_IMAGES,
    CUSTOM_IMAGE,
    image_name,
    read_actions,
)

RULES = "DebugRuleConfigurations"

# SageMaker's rules on how the machine is used, which people put into the wrong list.
_OF_THE_PROFILER = frozenset(
    {
        "BatchSize",
        "CPUBottleneck",
        "Dataloader",
        "GPUMemoryIncrease",
        "IOBottleneck",
        "LoadBalancing",
        "LowGPUUtilization",
        "MaxInitializationTime",
        "OverallFrameworkMetrics",
        "OverallSystemUsage",
        "ProfilerReport",
        "StepOutlier",
    }
)
_FOLDERS = {
    "DebugHookConfig": "output/tensors",
    "TensorBoardOutputConfig": "output/tensorboard",
}


def debugger_problems(request: Mapping[str, Any]) -> Iterator[str]:
    """All that is wrong with the members of a request that concern the debugger."""
    for member, default in _FOLDERS.items():
        config = request.get(member)
        if config:
            yield from _folder(member, config, default)
    hook = request.get("DebugHookConfig") or {}
    # One name may come several times: SDKs send what a rule asks for beside what a person asks for.
    names = [one.get("CollectionName") for one in hook.get("CollectionConfigurations") or ()]
    if None in names:
        yield "A collection of DebugHookConfig has no CollectionName: name it."
    configurations = request.get(RULES) or ()
    for name in _repeated(one["RuleConfigurationName"] for one in configurations):
        yield f"RuleConfigurationName {name!r} is used twice in {RULES}: names must be unique."
    for one in configurations:
        for problem in _rule(one):
            yield f"Rule configuration {one['RuleConfigurationName']!r}: {problem}."


def _folder(member: str, config: Mapping[str, Any], default: str) -> Iterator[str]:
    yield from (f"{problem}." for problem in _uri(f"{member}.S3OutputPath", config["S3OutputPath"]))
    try:
        folder_inside(Path(), config.get("LocalPath"), default, member)
    except ClaryError as error:
        yield f"{error}."


def _rule(configuration: Mapping[str, Any]) -> Iterator[str]:
    given: Mapping[str, str] = configuration.get("RuleParameters") or {}
    image = configuration["RuleEvaluatorImage"]
    if "S3OutputPath" in configuration:
        yield from _uri("S3OutputPath", configuration["S3OutputPath"])
    for place in other_trials(given):
        yield from _uri("other_trial", place)
    if given.get(ACTIONS_KEY):
        try:
            read_actions(given[ACTIONS_KEY])
        except UsageError as error:
            yield str(error)
    name = given.get(RULE_KEY)
    if not name:
        yield f"RuleParameters must hold {RULE_KEY}, the name of the rule"
    elif image_name(image) == CUSTOM_IMAGE:
        yield from _custom(given)
    elif image_name(image) in BUILT_IN_IMAGES:
        yield from _built_in(name, given)
    else:
        yield (
            f"RuleEvaluatorImage {image!r} is not offered by Clary: give {BUILT_IN_IMAGES[0]} for "
            f"one of its rules, or {CUSTOM_IMAGE} for one of your own"
        )


def _built_in(name: str, given: Mapping[str, str]) -> Iterator[str]:
    if name in _OF_THE_PROFILER and name not in BUILT_IN_RULES:
        yield f"{name} is a rule of the profiler: put it into ProfilerRuleConfigurations"
        return
    try:
        parse_parameters(name, given)
    except UsageError as error:
        yield from str(error).splitlines()
    if name == "SimilarAcrossRuns" and not other_trials(given):
        yield f"{name} needs other_trial_0, the S3 folder of another job's debug-output"


def _custom(given: Mapping[str, str]) -> Iterator[str]:
    source = given.get(SOURCE_KEY)
    if not source:
        yield f"RuleParameters of a custom rule must hold {SOURCE_KEY}, its Python file in S3"
        return
    yield from _uri(SOURCE_KEY, source)
    if not source.endswith(".py"):
        yield f"{SOURCE_KEY} is {source!r}: give one Python file, whose name ends in .py"


def _uri(member: str, uri: str) -> Iterator[str]:
    try:
        split_uri(uri)
    except ClaryError as error:
        yield f"{member}: {error}"


def _repeated(names: Iterator[str]) -> list[str]:
    return sorted(name for name, count in Counter(names).items() if count > 1)
