"""Findings as a person reads them: grouped, in whole sentences, with a verdict above them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from clary.formats.findings import Finding

JUDGING = ("InProgress", "Stopping")
_ORDER = ("issue", "watcher_failed", "note")
_MODES = {"TRAIN": "training", "EVAL": "validation", "PREDICT": "prediction"}
_NAMES_SHOWN = 3
WELL_BUILT = "It is well built"
"""What the last sentence of a profiler's verdict begins with where there is nothing to change."""
# Each status in the singular and in the plural, in the order of the verdict.
_WORDS = (
    (("IssuesFound",), "found an issue", "found issues"),
    (("NoIssuesFound",), "found nothing wrong", "found nothing wrong"),
    (("Error",), "could not judge", "could not judge"),
    (("Stopped",), "was stopped", "were stopped"),
    (JUDGING, "is still judging", "are still judging"),
)


@dataclass(frozen=True)
class FindingGroup:
    """Findings of one kind by one rule, or a failure that many rules tell of; the first one speaks
    for all.
    """

    findings: tuple[Finding, ...]

    @property
    def first(self) -> Finding:
        """The earliest."""
        return self.findings[0]

    @property
    def title(self) -> str:
        """The rule, or what failed for all of them."""
        rules = {one.rule for one in self.findings}
        return self.first.rule if len(rules) == 1 else f"The watching of {len(rules)} rules"

    @property
    def last_words(self) -> str:
        """The error of a failure, where the message does not say it."""
        words = self.first.detail.strip().rpartition("\n")[2]
        return "" if words in self.first.message else words

    @property
    def others(self) -> str:
        """Where else the same was found; empty where nowhere."""
        tensors = dict.fromkeys(one.tensor for one in self.findings if one.tensor)
        rest = [name for name in tensors if name != self.first.tensor]
        if rest:
            more = len(rest) - _NAMES_SHOWN
            shown = ", ".join(rest[:_NAMES_SHOWN])
            return f"also in {shown}{f' and {more} more' if more > 0 else ''}"
        steps = [one.step for one in self.findings[1:] if one.step is not None]
        if not steps:
            return ""
        return (
            f"again at step {steps[0]}"
            if len(steps) == 1
            else (f"again at {len(steps)} steps, the last is {steps[-1]}")
        )


def grouped(findings: Iterable[Finding]) -> list[FindingGroup]:
    """Findings by rule and kind: issues, then what failed, then notes. What failed is told once."""
    groups: dict[tuple[str, str], list[Finding]] = {}
    for finding in findings:
        by = finding.message if finding.kind == "watcher_failed" else finding.rule
        groups.setdefault((finding.kind, by), []).append(finding)
    found = [FindingGroup(tuple(held)) for held in groups.values()]
    return sorted(found, key=lambda group: _ORDER.index(group.first.kind))


def verdict(statuses: Sequence[str]) -> str:
    """`9 rules: 1 found an issue, 7 found nothing wrong, 1 could not judge`.

    Args:
        statuses: of each rule, SageMaker's words.
    """
    count = f"{len(statuses)} rule{'s' if len(statuses) != 1 else ''}"
    parts = []
    for words, one, many in _WORDS:
        held = sum(status in words for status in statuses)
        if held and held == len(statuses):
            return f"{count} {one if held == 1 else many}"
        if held:
            parts.append(f"{held} {one if held == 1 else many}")
    return f"{count}: {', '.join(parts)}"


def where(finding: Finding) -> str:
    """`at step 320 of validation`; empty where there is no step."""
    if finding.step is None:
        return ""
    mode = f" of {_MODES[finding.mode]}" if finding.mode else ""
    return f"at step {finding.step}{mode}"


def sentence(text: str) -> str:
    """With a capital letter and a stop at the end; a tensor's name stays as it is."""
    text = text.strip()
    if not text:
        return ""
    begin = text.partition(" ")[0].rstrip(",")
    if begin.isalpha() and begin.islower():
        text = f"{text[0].upper()}{text[1:]}"
    return text if text.endswith((".", "!", "?", ":")) else f"{text}."


def first_line(text: str) -> str:
    """The first line of a text."""
    return text.strip().partition("\n")[0]
