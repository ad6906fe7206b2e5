"""What CreateTrainingJob and UpdateTrainingJob forbid of rules beyond the service model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from clary.errors import ClaryError, UsageError
from clary.formats.profiler_rule_parameters import PROFILER_RULES, parse_profiler_parameters
from clary.formats.rule_parameters import (
    ACTIONS_KEY,
    RULE_KEY,
    SOURCE_KEY,
    other_trials,
    parse_parameters,
)
from clary.formats.rule_request import RuleKind
from clary.service.executors.places import split_uri
from clary.service.requests.rule_configurations import (
    BUILT_IN_IMAGES,
    CUSTOM_IMAGE,
    MEMBERS,
    image_name,
    read_actions,
)


def rule_problems(request: Mapping[str, Any]) -> Iterator[str]:
    """All that is wrong with the rules of a request, of all kinds: a sentence each."""
    yield from _names(request)
    for kind, member in MEMBERS.items():
        for one in request.get(member) or ():
            for problem in _rule(one, kind):
                yield f"Rule configuration {one['RuleConfigurationName']!r}: {problem}."


def uri_problems(member: str, uri: str) -> Iterator[str]:
    """What is wrong with an S3 URI, without a full stop."""
    try:
        split_uri(uri)
    except ClaryError as error:
        yield f"{member}: {error}"


def _names(request: Mapping[str, Any]) -> Iterator[str]:
    """In S3, the results of all rules lie in one folder, by their names."""
    counts = {
        member: Counter(one["RuleConfigurationName"] for one in request.get(member) or ())
        for member in MEMBERS.values()
    }
    for member, names in counts.items():
        for name in sorted(name for name, count in names.items() if count > 1):
            yield f"RuleConfigurationName {name!r} is used twice in {member}: names must be unique."
    for name in sorted(set.intersection(*map(set, counts.values()))):
        members = " and in ".join(counts)
        yield f"RuleConfigurationName {name!r} is used in {members}: names must be unique."


def _rule(configuration: Mapping[str, Any], kind: RuleKind) -> Iterator[str]:
    given: Mapping[str, str] = configuration.get("RuleParameters") or {}
    image = configuration["RuleEvaluatorImage"]
    if "S3OutputPath" in configuration:
        yield from uri_problems("S3OutputPath", configuration["S3OutputPath"])
    for place in other_trials(given):
        yield from uri_problems("other_trial", place)
    if given.get(ACTIONS_KEY):
        try:
            read_actions(given[ACTIONS_KEY])
        except UsageError as error:
            yield str(error)
    name = given.get(RULE_KEY)
    custom = image_name(image) == CUSTOM_IMAGE
    if not name:
        yield f"RuleParameters must hold {RULE_KEY}, the name of the rule"
    elif not custom and image_name(image) not in BUILT_IN_IMAGES:
        own = f", or {CUSTOM_IMAGE} for one of your own" if kind == "debug" else ""
        yield (
            f"RuleEvaluatorImage {image!r} is not offered by Clary: give {BUILT_IN_IMAGES[0]} for "
            f"one of its rules{own}"
        )
    elif kind == "profiler":
        yield from _of_the_profiler(name, given, custom=custom)
    elif custom:
        yield from _custom(given)
    else:
        yield from _of_the_debugger(name, given)


def _of_the_debugger(name: str, given: Mapping[str, str]) -> Iterator[str]:
    if name in PROFILER_RULES:
        yield f"{name} is a rule of the profiler: put it into {MEMBERS['profiler']}"
        return
    try:
        parse_parameters(name, given)
    except UsageError as error:
        yield from str(error).splitlines()
    if name == "SimilarAcrossRuns" and not other_trials(given):
        yield f"{name} needs other_trial_0, the S3 folder of another job's debug-output"


def _of_the_profiler(name: str, given: Mapping[str, str], *, custom: bool) -> Iterator[str]:
    if custom:
        yield (
            "a rule of your own on a profile is not offered by Clary: give RuleEvaluatorImage "
            f"{BUILT_IN_IMAGES[0]} and one of {', '.join(PROFILER_RULES)}"
        )
        return
    try:
        parse_profiler_parameters(name, given)
    except UsageError as error:
        yield from str(error).splitlines()


def _custom(given: Mapping[str, str]) -> Iterator[str]:
    source = given.get(SOURCE_KEY)
    if not source:
        yield f"RuleParameters of a custom rule must hold {SOURCE_KEY}, its Python file in S3"
        return
    yield from uri_problems(SOURCE_KEY, source)
    if not source.endswith(".py"):
        yield f"{SOURCE_KEY} is {source!r}: give one Python file, whose name ends in .py"
