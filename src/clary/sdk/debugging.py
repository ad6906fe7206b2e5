"""What a training is watched for, in SageMaker's words: collections of tensors, and rules.

    Debugging(
        collections={"gradients": {"save_interval": 5, "reductions": "min,max,l1,l2"}},
        rules=(Rule("VanishingGradient"), Rule("Overfit", {"ratio_threshold": 0.2})),
    )

The same against Clary and AWS. What the parameters are called is SageMaker's; any value will do
where text is asked for: lists are joined by commas, and what is nested becomes JSON.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clary.errors import UsageError

BUILT_IN_IMAGE = "sagemaker-debugger-rules:latest"
CUSTOM_IMAGE = "sagemaker-debugger-rule-evaluator:latest"
# SageMaker's bounds.
MOST_COLLECTIONS = 20
MOST_RULES = 20


@dataclass(frozen=True)
class Rule:
    """A rule and its parameters.

    `source` is a Python file of one's own that has a class of the rule's name; built-in rules have
    none. `name` tells two configurations of one rule apart. `image` is what evaluates the rule: on
    AWS it is one of the region's registry, Clary has it built in.
    """

    rule: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    name: str | None = None
    source: Path | None = None
    image: str | None = None

    @property
    def configuration(self) -> str:
        """What the rule is called in this job."""
        return self.name or self.rule


@dataclass(frozen=True)
class Debugging:
    """What is saved of a training, and which rules judge it.

    `collections` gives each collection its parameters, `hook` holds those of all of them.
    `output_path` is an S3 URI; the job's own output path when not given.
    """

    collections: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    rules: Sequence[Rule] = ()
    hook: Mapping[str, Any] = field(default_factory=dict)
    output_path: str | None = None

    def request(self, output_path: str, sources: Mapping[Path, str]) -> dict[str, Any]:
        """CreateTrainingJob's members for it.

        Args:
            output_path: of the job, an S3 URI.
            sources: where the files of custom rules have been uploaded to.

        Raises:
            UsageError: two rules have the same name, there are more than SageMaker takes, or a
                parameter is None or cannot be sent.
        """
        self._check()
        place = self.output_path or output_path
        hook: dict[str, Any] = {"S3OutputPath": place}
        if self.hook:
            hook["HookParameters"] = _texts(self.hook)
        if self.collections:
            hook["CollectionConfigurations"] = [
                {"CollectionName": name, "CollectionParameters": _texts(parameters)}
                if parameters
                else {"CollectionName": name}
                for name, parameters in self.collections.items()
            ]
        members: dict[str, Any] = {"DebugHookConfig": hook}
        if self.rules:
            members["DebugRuleConfigurations"] = [
                rule_request(rule, output_path, sources) for rule in self.rules
            ]
        return members

    @classmethod
    def of_job(cls, job: Mapping[str, Any]) -> Debugging | None:
        """What a job is watched for, of what DescribeTrainingJob says; None where it is not.

        Custom rules are left out: their files were uploaded for that job.
        """
        hook = job.get("DebugHookConfig")
        if hook is None:
            return None
        return cls(
            collections={
                row["CollectionName"]: dict(row.get("CollectionParameters") or {})
                for row in hook.get("CollectionConfigurations") or ()
            },
            rules=tuple(
                Rule(parameters.pop("rule_to_invoke", name), parameters, name, image=image)
                for name, image, parameters in _described_rules(job)
                if "source_s3_uri" not in parameters
            ),
            hook=dict(hook.get("HookParameters") or {}),
            output_path=hook["S3OutputPath"],
        )

    def _check(self) -> None:
        for what, count, most in (
            ("collections", len(self.collections), MOST_COLLECTIONS),
            ("rules", len(self.rules), MOST_RULES),
        ):
            if count > most:
                raise UsageError(f"there are {count} {what} but {most} is the most: leave some out")
        names = [rule.configuration for rule in self.rules]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise UsageError(f"two rules are called {twice}: give one of them another name")


def rule_request(rule: Rule, output_path: str, sources: Mapping[Path, str]) -> dict[str, Any]:
    """A rule as CreateTrainingJob takes it.

    Args:
        rule: built in, or of a file of one's own.
        output_path: where its results go, an S3 URI.
        sources: where the files of custom rules have been uploaded to.

    Raises:
        UsageError: a parameter is None or cannot be sent.
    """
    parameters = {"rule_to_invoke": rule.rule, **_texts(rule.parameters)}
    if rule.source is not None:
        parameters["source_s3_uri"] = sources[rule.source]
    built_in = CUSTOM_IMAGE if rule.source is not None else BUILT_IN_IMAGE
    return {
        "RuleConfigurationName": rule.configuration,
        "RuleEvaluatorImage": rule.image or built_in,
        "RuleParameters": parameters,
        "S3OutputPath": output_path,
    }


def _described_rules(job: Mapping[str, Any]) -> Iterator[tuple[str, str, dict[str, str]]]:
    for row in job.get("DebugRuleConfigurations") or ():
        parameters = dict(row.get("RuleParameters") or {})
        yield row["RuleConfigurationName"], row["RuleEvaluatorImage"], parameters


def _texts(values: Mapping[str, Any]) -> dict[str, str]:
    return {name: _text(name, value) for name, value in values.items()}


def _text(name: str, value: Any) -> str:
    if value is None:
        raise UsageError(f"{name} is None but must have a value: leave it out for the default")
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        return _json(name, value)
    if isinstance(value, (list, tuple)):
        nested = any(isinstance(one, (dict, list, tuple)) for one in value)
        return _json(name, value) if nested else ",".join(_text(name, one) for one in value)
    return str(value)


def _json(name: str, value: Any) -> str:
    try:
        return json.dumps(value)
    except TypeError as error:
        raise UsageError(f"{name} cannot be sent as JSON: {error}") from error
