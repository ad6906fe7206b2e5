"""The rules of a training job, read from its request and from what was added to it.

Image and parameters say what a rule is:

    …/sagemaker-debugger-rules           one of Clary's, named by `rule_to_invoke`
    …/sagemaker-debugger-rule-evaluator  a class of the file at `source_s3_uri`

Registry, region and tag of an image do not matter. Below the directory of the job, results are in

    rules/, rules.profiler/               of all rules of a kind, each in a folder of its name
    rules.custom/, rules.profiler.added/  of rules with processes of their own, linked there

Rules that came with one update share a process, whose folder is called after the first of them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from clary.errors import UsageError
from clary.formats.rule_parameters import (
    ACTIONS_KEY,
    RULE_KEY,
    SOURCE_KEY,
    other_trials,
    own_parameters,
)
from clary.formats.rule_request import RuleKind, results_folder

MEMBERS: Mapping[RuleKind, str] = MappingProxyType(
    {"debug": "DebugRuleConfigurations", "profiler": "ProfilerRuleConfigurations"}
)
"""Where CreateTrainingJob says which rules there are."""

ADDED_TOGETHER = "RulesAddedTogether"
"""Beside a job's updates: how many rules of the profiler came with each."""

BUILT_IN_IMAGES = ("sagemaker-debugger-rules", "DEFAULT_RULE_EVALUATOR_IMAGE")
CUSTOM_IMAGE = "sagemaker-debugger-rule-evaluator"

_FOLDERS: Mapping[RuleKind, str] = MappingProxyType(
    {"debug": "rules", "profiler": "rules.profiler"}
)
_UNCHANGED: Mapping[str, Any] = MappingProxyType({})
_STALLED = "StalledTrainingRule"
_STOP = "stoptraining"


@dataclass(frozen=True)
class Action:
    """What happens when a rule fires.

    `name` is SageMaker's: `stoptraining`, `email` or `sms`. `target` is the prefix of the training
    job's name (None: of the rule's own job), or whom the message is for.
    """

    name: str
    target: str | None


@dataclass(frozen=True)
class RuleSpec:
    """One rule of a job.

    `position` is its place among the rules of its kind, `asked` its configuration as it was given.
    `source` is the S3 URI of a custom rule's file, None for a built-in rule. `output` is the S3
    folder that gets its results, with its slash. `added` is for rules that came while the job ran:
    the first configuration of those that came together; else it is empty.
    """

    kind: RuleKind
    position: int
    configuration: str
    rule: str
    parameters: Mapping[str, str]
    source: str | None
    others: tuple[str, ...]
    actions: tuple[Action, ...]
    output: str
    asked: Mapping[str, Any]
    added: str = ""

    @property
    def apart(self) -> bool:
        """Whether the process that checks it is not the one of its kind."""
        return bool(self.added) or self.source is not None


@dataclass(frozen=True)
class Checker:
    """One process that checks rules of a job: the built-in ones of a kind, those of an update, or
    a custom one alone.

    `folder` is what the process gets (`clary.formats.rule_request`).
    """

    folder: Path
    rules: tuple[RuleSpec, ...]

    @property
    def kind(self) -> RuleKind:
        """What its rules judge."""
        return self.rules[0].kind

    @property
    def custom(self) -> bool:
        """Whether it runs somebody's own rule."""
        return self.rules[0].source is not None

    def result(self, configuration: str) -> Path:
        """Where the results of one of its rules are."""
        return results_folder(self.folder, configuration)


def checkers_of(
    request: Mapping[str, Any], root: Path, updates: Mapping[str, Any] = _UNCHANGED
) -> tuple[Checker, ...]:
    """The processes that check the rules of a job, whose directory is `root`."""
    rules = rules_of(request, updates)
    found: list[Checker] = []
    for kind in MEMBERS:
        together = tuple(rule for rule in rules if rule.kind == kind and not rule.apart)
        if together:
            found.append(Checker(rules_folder(root, kind), together))
    apart: dict[Path, list[RuleSpec]] = {}
    for rule in rules:
        if rule.apart:
            apart.setdefault(_own_folder(root, rule), []).append(rule)
    return (*found, *(Checker(folder, tuple(ones)) for folder, ones in apart.items()))


def rules_of(
    request: Mapping[str, Any], updates: Mapping[str, Any] = _UNCHANGED
) -> tuple[RuleSpec, ...]:
    """The rules of a checked CreateTrainingJob, in its order, the debugger's first.

    Args:
        request: CreateTrainingJob's.
        updates: what UpdateTrainingJob has changed since; rules of its come after those of a kind.
    """
    found: list[RuleSpec] = []
    for kind, member in MEMBERS.items():
        created = list(request.get(member) or ())
        firsts = [""] * len(created) + _firsts(updates, member)
        asked = created + list(updates.get(member) or ())
        for place, (first, one) in enumerate(zip(firsts, asked, strict=True)):
            found.append(_rule(request, kind, place, one, added=first))
    return tuple(found)


def rule_of(
    request: Mapping[str, Any], updates: Mapping[str, Any], kind: RuleKind, position: int
) -> RuleSpec:
    """The rule of a kind at a place of which there is one."""
    rules = rules_of(request, updates)
    return next(rule for rule in rules if (rule.kind, rule.position) == (kind, position))


def image_name(image: str) -> str:
    """What an image is called, without registry, tag and digest."""
    return image.rpartition("/")[2].partition("@")[0].partition(":")[0]


def read_actions(text: str) -> tuple[Action, ...]:
    """The actions of `action_json`; the SageMaker SDK writes each quote with a backslash.

    Raises:
        UsageError: it is no JSON, or asks for an action that there is not.
    """
    content = _read_json(text)
    listed = content if isinstance(content, list) else [content]
    return tuple(_action(one) for one in listed)


def rules_folder(root: Path, kind: RuleKind = "debug") -> Path:
    """Where the results of a job's rules of a kind are, each in `results_folder` of it."""
    return root / _FOLDERS[kind]


def result_folder(root: Path, configuration: str, kind: RuleKind = "debug") -> Path:
    """Where the results of one rule of a job are."""
    return results_folder(rules_folder(root, kind), configuration)


def _own_folder(root: Path, rule: RuleSpec) -> Path:
    if rule.source is not None:
        return results_folder(root / f"{_FOLDERS[rule.kind]}.custom", rule.configuration)
    return results_folder(root / f"{_FOLDERS[rule.kind]}.added", rule.added)


def _firsts(updates: Mapping[str, Any], member: str) -> list[str]:
    """Of each rule that was added, the first one that came with it."""
    names = [one["RuleConfigurationName"] for one in updates.get(member) or ()]
    counts = list(updates.get(ADDED_TOGETHER) or ()) if member == MEMBERS["profiler"] else []
    # Those that an earlier Clary has added have a process each.
    counts = [1] * (len(names) - sum(counts)) + counts
    firsts: list[str] = []
    for count in counts:
        firsts += [names[len(firsts)]] * count
    return firsts


def _rule(
    request: Mapping[str, Any],
    kind: RuleKind,
    position: int,
    asked: Mapping[str, Any],
    *,
    added: str,
) -> RuleSpec:
    given: Mapping[str, str] = asked.get("RuleParameters") or {}
    name = asked["RuleConfigurationName"]
    store = asked.get("S3OutputPath") or request["OutputDataConfig"]["S3OutputPath"]
    job = request["TrainingJobName"]
    custom = image_name(asked["RuleEvaluatorImage"]) == CUSTOM_IMAGE
    return RuleSpec(
        kind=kind,
        position=position,
        configuration=name,
        # Jobs of an earlier Clary have rules of the profiler that nobody has looked at.
        rule=given.get(RULE_KEY, ""),
        parameters=own_parameters(given),
        source=given.get(SOURCE_KEY) if custom else None,
        others=other_trials(given),
        actions=_actions(given),
        output=f"{str(store).rstrip('/')}/{job}/rule-output/{name}/",
        asked=asked,
        added=added,
    )


def _actions(given: Mapping[str, str]) -> tuple[Action, ...]:
    actions = read_actions(given[ACTIONS_KEY]) if given.get(ACTIONS_KEY) else ()
    # SageMaker's older way to say it, of one rule alone.
    if given.get(RULE_KEY) == _STALLED and given.get("stop_training_on_fire", "").lower() == "true":
        return (*actions, Action(_STOP, given.get("training_job_name_prefix") or None))
    return actions


def _read_json(text: str) -> Any:
    for form in (text, text.replace('\\"', '"')):
        try:
            return json.loads(form)
        except ValueError:
            continue
    raise UsageError(f'{ACTIONS_KEY} is {text!r}: write JSON, such as [{{"name": "stoptraining"}}]')


def _action(content: Any) -> Action:
    name = content.get("name") if isinstance(content, dict) else None
    if name not in {_STOP, "email", "sms"}:
        raise UsageError(
            f"{ACTIONS_KEY} holds {json.dumps(content)}: the actions are stoptraining, email and "
            "sms, each with its name"
        )
    # AWS's documentation nests what the SDK writes beside the name.
    values = {**content, **(content.get("parameters") or {})}
    key = "training_job_prefix" if name == _STOP else "endpoint"
    target = values.get(key)
    if target is not None and not isinstance(target, str):
        raise UsageError(f"{key} of the action {name} is {target!r}: write a text")
    return Action(name, target or None)
