"""Where a training's time went, in the two lines that it ends with."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from clary.formats.finding_sentences import WELL_BUILT, first_line
from clary.sdk.profiling import REPORT_RULE
from clary.sdk.rule_evaluations import RuleEvaluation

_MARGIN = 10
_MOST_WIDTH = 100
_SENTENCES = 3
"""Of a verdict."""


def where_time_went(rules: Sequence[RuleEvaluation]) -> str | None:
    """What holds a training back and what to change, as its report says it; None where it was not
    profiled, or is not judged yet.

    Args:
        rules: those that judge where the time goes.
    """
    report = next((rule for rule in rules if rule.name == REPORT_RULE), None)
    if report is None or not report.details or not report.ended:
        return None
    lines = [line for line in report.details.splitlines() if line.strip()]
    if report.status in {"IssuesFound", "NoIssuesFound"}:
        if len(lines) < _SENTENCES:
            return "its judge was interrupted before it had written its verdict"
        # Of the verdict's three sentences, which come last, the first says what was trained and how
        # fast: that is known already. The second is for whoever has something to change.
        return lines[-1] if lines[-1].startswith(WELL_BUILT) else " ".join(lines[-2:])
    return f"the profile was not judged: {first_line(report.details)}"


def say_where_time_went(console: Console, rules: Sequence[RuleEvaluation], job: str) -> None:
    """What a training ends with, in a few lines; nothing where it was not profiled.

    Args:
        console: to print on.
        rules: those that judge where the time goes.
        job: its name.
    """
    said = where_time_went(rules)
    if said is None:
        return
    lines = textwrap.wrap(
        said,
        min(console.width, _MOST_WIDTH),
        initial_indent=f"{'time':<{_MARGIN}}",
        subsequent_indent=" " * _MARGIN,
        break_on_hyphens=False,
    )
    for line in (*lines, f"see       clary profile {job}"):
        console.print(Text(line), soft_wrap=True)
