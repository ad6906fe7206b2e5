"""What the rules found, and how often each of them looked and fired."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from clary.formats.findings import Finding
from clary.formats.profiler_rule_parameters import REPORTED_RULES
from clary.jobs.profile_report.material import TELLS_THE_REST, Material
from clary.jobs.profile_report.rule_files import rule_parameters
from clary.profiler.rules import BUILT_IN

_KINDS = ("issue", "watcher_failed", "note")


@dataclass(frozen=True)
class RuleRow:
    """A rule as SageMaker's report lists it."""

    name: str
    description: str
    recommendation: str
    triggered: int
    datapoints: int
    parameters: tuple[tuple[str, str], ...]
    judged: bool


def rule_rows(material: Material) -> tuple[RuleRow, ...]:
    """All rules, those that fired most first."""
    rows = []
    for name in REPORTED_RULES:
        judged = material.judgements.get(name)
        rows.append(
            RuleRow(
                name=name,
                description=BUILT_IN[name].description,
                recommendation=BUILT_IN[name].recommendation,
                triggered=0 if judged is None else judged.triggered,
                datapoints=0 if judged is None else judged.datapoints,
                parameters=tuple(
                    (key, _text(value)) for key, value in rule_parameters(name, material).items()
                ),
                judged=judged is not None,
            )
        )
    return tuple(sorted(rows, key=lambda row: (-row.triggered, row.name)))


def untold_findings(material: Material) -> tuple[Finding, ...]:
    """What the verdict names and none of SageMaker's rules could fire for."""
    told = material.judgements.get(TELLS_THE_REST)
    return () if told is None else tuple(one for one in told.findings if one.kind == "issue")


def findings(material: Material) -> tuple[Finding, ...]:
    """What was found: issues, then what failed, then what kept rules from judging."""
    found: Iterable[Finding] = (
        finding for judged in material.judgements.values() for finding in judged.findings
    )
    return tuple(sorted(found, key=lambda one: _KINDS.index(one.kind)))


def _text(value: object) -> str:
    if value is None:
        return "–"
    return f"{value:g}" if isinstance(value, float) else str(value)
