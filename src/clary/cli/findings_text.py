"""What rules found, on the terminal: what was seen, why, and what to try."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from clary.formats.finding_sentences import (
    FindingGroup,
    first_line,
    grouped,
    sentence,
    verdict,
    where,
)
from clary.formats.findings import Finding
from clary.sdk.rule_evaluations import RuleEvaluation

_STYLES = {"issue": "bold red", "note": "bold yellow", "watcher_failed": "bold magenta"}
_STATUS_STYLES = {"IssuesFound": "red", "Error": "magenta", "NoIssuesFound": "green"}
# What an issue is stands above the statuses; why there is no verdict is told beside them alone.
_EXPLAINED = ("Error", "Stopped")
_MOST_WIDTH = 100
_LEAST_ROOM = 24


@dataclass(frozen=True)
class FindingBlock:
    """A finding as a heading and a few lines below it."""

    group: FindingGroup

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The lines, as wide as the terminal, a hundred columns at most."""
        first = self.group.first
        yield Text.assemble(
            (self.group.title, _STYLES[first.kind]), (f"  {where(first)}".rstrip(), "dim")
        )
        width = min(options.max_width, _MOST_WIDTH)
        for name, text in (
            ("", first.message),
            ("", self.group.others),
            ("why", first.cause),
            ("try", first.remedy),
            ("", self.group.last_words),
        ):
            yield from _hanging(f"  {name:<5}", sentence(text), width)


@dataclass(frozen=True)
class StatusLines:
    """How each rule stands, a line each, and why a rule could not judge; of those in `told` that
    is said elsewhere.
    """

    rules: Sequence[RuleEvaluation]
    told: frozenset[str] = frozenset()

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The lines, as wide as the terminal, a hundred columns at most."""
        names = max(len(rule.name) for rule in self.rules)
        statuses = max(len(rule.status) for rule in self.rules)
        width = min(options.max_width, _MOST_WIDTH)
        before = ""
        for rule in self.rules:
            line = Text.assemble(
                f"{rule.name:<{names}}  ", (rule.status, _STATUS_STYLES.get(rule.status, ""))
            )
            silent = rule.status not in _EXPLAINED or rule.name in self.told
            details = "" if silent else first_line(rule.details)
            about = "for the same reason" if details and details == before else details
            before = details
            room = width - names - statuses - 4
            if about and room >= _LEAST_ROOM:
                first, *rest = textwrap.wrap(about, room)
                line.append(f"{' ' * (statuses - len(rule.status) + 2)}{first}", "dim")
                yield line
                for more in rest:
                    yield Text(f"{' ' * (width - room)}{more}", "dim")
            else:
                yield line
                yield from _hanging("  ", about, width)


def say_findings(
    console: Console, findings: Iterable[Finding], rules: Sequence[RuleEvaluation], job: str
) -> None:
    """What a training ends with: each issue in plain sentences, or that there is none.

    Args:
        console: to print on.
        findings: of all rules.
        rules: how they stand.
        job: its name.
    """
    if not rules:
        return
    said = verdict([rule.status for rule in rules])
    console.print(Text(f"rules     {said}"), soft_wrap=True)
    groups = [group for group in grouped(findings) if group.first.kind != "note"]
    for group in groups:
        console.print()
        console.print(FindingBlock(group), soft_wrap=False)
    if groups:
        console.print()
    console.print(Text(f"see       clary debug {job}"), soft_wrap=True)


def warning(finding: Finding) -> str:
    """A finding in one line, for a training that still runs."""
    what = "warning" if finding.kind == "issue" else "note"
    place = " ".join(filter(None, (finding.rule, where(finding))))
    return f"{what}: {place}: {first_line(finding.message)}"


def _hanging(margin: str, text: str, width: int) -> Iterator[Text]:
    """Lines that begin below each other; long names of tensors are not broken."""
    lines = textwrap.wrap(text, max(20, width - len(margin)), break_on_hyphens=False)
    for number, line in enumerate(lines):
        yield Text.assemble((margin if number == 0 else " " * len(margin), "dim"), line)
