"""What rules found, in plain sentences: what was seen, why, and what to try."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from clary.formats.findings import Finding
from clary.sdk.rule_evaluations import RuleEvaluation

_STYLES = {"issue": "bold red", "note": "bold yellow", "watcher_failed": "bold magenta"}
_STATUS_STYLES = {"IssuesFound": "red", "Error": "magenta", "NoIssuesFound": "green"}
_ORDER = ("issue", "watcher_failed", "note")
_MODES = {"TRAIN": "training", "EVAL": "validation", "PREDICT": "prediction"}
_EXPLAINED = ("Error", "Stopped")
_NAMES_SHOWN = 3
_MOST_WIDTH = 100
_LEAST_ROOM = 24


@dataclass(frozen=True)
class FindingGroup:
    """Findings of one kind by one rule; the first one speaks for all."""

    findings: tuple[Finding, ...]

    @property
    def first(self) -> Finding:
        """The earliest."""
        return self.findings[0]

    @property
    def others(self) -> str:
        """Where else the same was found; empty where nowhere."""
        tensors = dict.fromkeys(one.tensor for one in self.findings if one.tensor)
        rest = [name for name in tensors if name != self.first.tensor]
        if rest:
            shown = ", ".join(rest[:_NAMES_SHOWN])
            more = len(rest) - _NAMES_SHOWN
            return f"also in {shown}{f' and {more} more' if more > 0 else ''}"
        again = len(self.findings) - 1
        steps = [one.step for one in self.findings[1:] if one.step is not None]
        if again and steps:
            return f"again at {'step' if again == 1 else f'{again} steps, the last'} {steps[-1]}"
        return ""


def grouped(findings: Iterable[Finding]) -> list[FindingGroup]:
    """Findings by rule and kind: issues, then what failed, then notes."""
    groups: dict[tuple[str, str], list[Finding]] = {}
    for finding in findings:
        groups.setdefault((finding.kind, finding.rule), []).append(finding)
    found = [FindingGroup(tuple(held)) for held in groups.values()]
    return sorted(found, key=lambda group: _ORDER.index(group.first.kind))


@dataclass(frozen=True)
class FindingBlock:
    """A finding as a heading and a few lines below it."""

    group: FindingGroup

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The lines, as wide as the terminal, a hundred columns at most."""
        first = self.group.first
        yield Text.assemble((first.rule, _STYLES[first.kind]), (f"  {_where(first)}", "dim"))
        width = min(options.max_width, _MOST_WIDTH)
        for name, text in (
            ("", first.message),
            ("", self.group.others),
            ("why", first.cause),
            ("try", first.remedy),
            ("", last_line(first.detail)),
        ):
            yield from _hanging(f"  {name:<5}", sentence(text), width)


@dataclass(frozen=True)
class StatusLines:
    """How each rule stands, a line each, and why a rule could not judge."""

    rules: Sequence[RuleEvaluation]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The lines."""
        names = max(len(rule.name) for rule in self.rules)
        statuses = max(len(rule.status) for rule in self.rules)
        width = min(options.max_width, _MOST_WIDTH)
        for rule in self.rules:
            line = Text.assemble(
                f"{rule.name:<{names}}  ", (rule.status, _STATUS_STYLES.get(rule.status, ""))
            )
            # What an issue is stands above, what is not known is for this place alone.
            about = first_line(rule.details) if rule.status in _EXPLAINED else ""
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


def verdict(rules: Sequence[RuleEvaluation]) -> str:
    """`1 of 9 rules found an issue, 7 found nothing wrong, 1 could not judge`."""
    words = (
        ("IssuesFound", "found an issue", "found issues"),
        ("NoIssuesFound", "found nothing wrong", "found nothing wrong"),
        ("Error", "could not judge", "could not judge"),
        ("Stopped", "was stopped", "were stopped"),
    )
    count = f"{len(rules)} rule{'s' if len(rules) != 1 else ''}"
    parts = []
    for status, one, many in words:
        held = sum(rule.status == status for rule in rules)
        if held == len(rules):
            return f"{count} {one if held == 1 else many}"
        if held:
            parts.append(f"{held} {one if held == 1 else many}")
    judging = sum(not rule.ended for rule in rules)
    if judging:
        parts.append(f"{judging} still judging")
    return f"{count}: {', '.join(parts)}"


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
    console.print(Text(f"rules     {verdict(rules)}"), highlight=False, soft_wrap=True)
    said = [group for group in grouped(findings) if group.first.kind != "note"]
    for group in said:
        console.print()
        console.print(FindingBlock(group), soft_wrap=False)
    if said:
        console.print()
    console.print(Text(f"curves    clary debug {job}"), highlight=False, soft_wrap=True)


def warning(finding: Finding) -> str:
    """A finding in one line, for a training that still runs."""
    what = "warning" if finding.kind == "issue" else "note"
    return f"{what}: {finding.rule} {_where(finding)}: {first_line(finding.message)}"


def _hanging(margin: str, text: str, width: int) -> Iterator[Text]:
    """Lines that begin below each other; long names of tensors are not broken."""
    lines = textwrap.wrap(text, max(20, width - len(margin)), break_on_hyphens=False)
    for number, line in enumerate(lines):
        yield Text.assemble((margin if number == 0 else " " * len(margin), "dim"), line)


def sentence(text: str) -> str:
    """With a capital letter, and a stop at the end; names of tensors stay as they are."""
    text = text.strip()
    if not text:
        return ""
    begin = text.partition(" ")[0]
    plain = begin.rstrip(",").isalpha() and begin.islower()
    text = f"{text[0].upper()}{text[1:]}" if plain else text
    return text if text.endswith((".", "!", "?", ":")) else f"{text}."


def first_line(text: str) -> str:
    """The first line of a text."""
    return text.strip().partition("\n")[0]


def last_line(text: str) -> str:
    """The last line of a text, which in a traceback is the error."""
    return text.strip().rpartition("\n")[2]


def _where(finding: Finding) -> str:
    if finding.step is None:
        return ""
    mode = f" of {_MODES[finding.mode]}" if finding.mode else ""
    return f"at step {finding.step}{mode}"
