"""What is recorded of where a training's time goes, in SageMaker's words.

| level   | recorded                                                                       |
|---------|--------------------------------------------------------------------------------|
| `steps` | the machine twice a second; each step and its phases; how batches are loaded   |
| `full`  | also torch's operators in ten steps, from the fifth on                         |
| `off`   | nothing                                                                        |

    Profiling("full", rules=(Rule("ProfilerReport"), Rule("CPUBottleneck", {"threshold": 30})))

The same against Clary and AWS.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast, get_args

from clary.errors import UsageError
from clary.formats.profiler_configuration import (
    DEFAULT_INTERVAL_MS,
    FULL_OPERATORS,
    INTERVALS_MS,
    ProfilerConfiguration,
)
from clary.sdk.debugging import MOST_RULES, Rule, rule_request

Level = Literal["steps", "full", "off"]

REPORT_RULE = "ProfilerReport"
"""Runs all the others, and writes the report."""


def parse_profile(words: Sequence[str]) -> Level:
    """What a person has typed after `--profile`.

    Args:
        words: the values; none at all for a bare `--profile`.

    Raises:
        UsageError: a word is no level, or there are several.
    """
    levels = get_args(Level)
    if len(words) > 1:
        raise UsageError(f"--profile is given {len(words)} times: once is enough")
    level = words[0] if words else "steps"
    if level not in levels:
        near = difflib.get_close_matches(level, levels, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]}?" if near else "steps costs next to nothing"
        if "/" in level or "." in level:
            hint = f"write the pictures first, as in `clary train {level} --profile`"
        raise UsageError(f"--profile is {level!r} but must be one of {', '.join(levels)}: {hint}")
    return cast("Level", level)


@dataclass(frozen=True)
class Profiling:
    """What is recorded, and which rules judge it.

    `interval_ms` is between two looks at the machine: 100, 200, 500, 1000, 5000 or 60000.
    `output_path` is an S3 URI; the job's own output path when not given.

    Raises:
        UsageError: the level or the interval is none of these, or there are too many rules.
    """

    level: Level = "steps"
    interval_ms: int = DEFAULT_INTERVAL_MS
    rules: Sequence[Rule] = (Rule(REPORT_RULE),)
    output_path: str | None = None

    def __post_init__(self) -> None:
        levels = get_args(Level)
        if self.level not in levels:
            near = difflib.get_close_matches(str(self.level), levels, n=1)
            raise UsageError(
                f"the level of profiling is {self.level!r} but must be one of {', '.join(levels)}"
                + (f": did you mean {near[0]}?" if near else "")
            )
        if self.interval_ms not in INTERVALS_MS:
            raise UsageError(
                f"interval_ms is {self.interval_ms!r} but must be one of "
                f"{', '.join(map(str, INTERVALS_MS))}"
            )
        if len(self.rules) > MOST_RULES:
            raise UsageError(
                f"there are {len(self.rules)} rules but {MOST_RULES} is the most: leave some out"
            )

    @classmethod
    def of(cls, given: Profiling | Level) -> Profiling:
        """Of a level by its name, or what is given.

        Raises:
            UsageError: there is no such level.
        """
        return given if isinstance(given, Profiling) else cls(given)

    def request(self, output_path: str) -> dict[str, Any]:
        """CreateTrainingJob's members for it.

        Args:
            output_path: of the job, an S3 URI.

        Raises:
            UsageError: a parameter of a rule is None or cannot be sent.
        """
        if self.level == "off":
            return {"ProfilerConfig": {"DisableProfiler": True}}
        recorded = ProfilerConfiguration(
            interval_ms=self.interval_ms,
            operators=FULL_OPERATORS if self.level == "full" else None,
        )
        place = self.output_path or output_path
        members: dict[str, Any] = {
            "ProfilerConfig": {"S3OutputPath": place, **recorded.as_request()}
        }
        if self.rules:
            members["ProfilerRuleConfigurations"] = [
                rule_request(rule, output_path, {}) for rule in self.rules
            ]
        return members

    @classmethod
    def of_job(cls, job: Mapping[str, Any]) -> Profiling:
        """What a job was profiled for, of what DescribeTrainingJob says.

        Steps that were chosen by hand become those of `full`.

        Raises:
            UsageError: the job says of itself what is not understood.
        """
        given = job.get("ProfilerConfig")
        if given is None or given.get("DisableProfiler"):
            return cls("off")
        recorded = ProfilerConfiguration.from_request(given)
        rules = [
            Rule(
                parameters.pop("rule_to_invoke", row["RuleConfigurationName"]),
                parameters,
                row["RuleConfigurationName"],
                image=row["RuleEvaluatorImage"],
            )
            for row in job.get("ProfilerRuleConfigurations") or ()
            for parameters in (dict(row.get("RuleParameters") or {}),)
        ]
        return cls(
            "full" if recorded.operators is not None else "steps",
            recorded.interval_ms,
            tuple(rules),
            given.get("S3OutputPath"),
        )
