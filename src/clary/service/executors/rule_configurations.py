"""The rules of a training job, read from its request.

Image and parameters say what a rule is:

    …/sagemaker-debugger-rules           one of Clary's, named by `rule_to_invoke`
    …/sagemaker-debugger-rule-evaluator  a class of the file at `source_s3_uri`

Registry, region and tag of an image do not matter.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clary.errors import UsageError
from clary.formats.rule_parameters import (
    ACTIONS_KEY,
    RULE_KEY,
    SOURCE_KEY,
    other_trials,
    own_parameters,
)
from clary.formats.rule_request import results_folder

BUILT_IN_IMAGES = ("sagemaker-debugger-rules", "DEFAULT_RULE_EVALUATOR_IMAGE")
CUSTOM_IMAGE = "sagemaker-debugger-rule-evaluator"

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

    `source` is the S3 URI of a custom rule's file, None for a built-in rule. `output` is the S3
    folder that gets its results, with its slash.
    """

    configuration: str
    rule: str
    parameters: Mapping[str, str]
    source: str | None
    others: tuple[str, ...]
    actions: tuple[Action, ...]
    output: str


@dataclass(frozen=True)
class Checker:
    """One process that checks rules of a job: all built-in ones, or a custom one.

    `folder` is what the process gets (`clary.formats.rule_request`).
    """

    folder: Path
    rules: tuple[RuleSpec, ...]

    @property
    def custom(self) -> bool:
        """Whether it runs somebody's own rule."""
        return self.rules[0].source is not None

    def result(self, configuration: str) -> Path:
        """Where the results of one of its rules are."""
        return results_folder(self.folder, configuration)


def checkers_of(request: Mapping[str, Any], root: Path) -> tuple[Checker, ...]:
    """The processes that check the rules of a job, whose directory is `root`."""
    rules = rules_of(request)
    built_in = tuple(rule for rule in rules if rule.source is None)
    custom = (
        Checker(results_folder(root / "rules.custom", rule.configuration), (rule,))
        for rule in rules
        if rule.source is not None
    )
    return (*((Checker(rules_folder(root), built_in),) if built_in else ()), *custom)


def rules_of(request: Mapping[str, Any]) -> tuple[RuleSpec, ...]:
    """The rules of a checked CreateTrainingJob, in its order."""
    return tuple(_rule(request, one) for one in request.get("DebugRuleConfigurations") or ())


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


def rules_folder(root: Path) -> Path:
    """Where the results of a job's rules are, each in `results_folder` of it."""
    return root / "rules"


def result_folder(root: Path, configuration: str) -> Path:
    """Where the results of one rule of a job are."""
    return results_folder(rules_folder(root), configuration)


def _rule(request: Mapping[str, Any], configuration: Mapping[str, Any]) -> RuleSpec:
    given: Mapping[str, str] = configuration.get("RuleParameters") or {}
    name = configuration["RuleConfigurationName"]
    store = configuration.get("S3OutputPath") or request["OutputDataConfig"]["S3OutputPath"]
    job = request["TrainingJobName"]
    custom = image_name(configuration["RuleEvaluatorImage"]) == CUSTOM_IMAGE
    return RuleSpec(
        configuration=name,
        rule=given[RULE_KEY],
        parameters=own_parameters(given),
        source=given[SOURCE_KEY] if custom else None,
        others=other_trials(given),
        actions=_actions(given),
        output=f"{str(store).rstrip('/')}/{job}/rule-output/{name}/",
    )


def _actions(given: Mapping[str, str]) -> tuple[Action, ...]:
    actions = read_actions(given[ACTIONS_KEY]) if given.get(ACTIONS_KEY) else ()
    # SageMaker's older way to say it, of one rule alone.
    if given[RULE_KEY] == _STALLED and given.get("stop_training_on_fire", "").lower() == "true":
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
