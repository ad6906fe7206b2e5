"""Where a training's time went, in a sentence or two."""

from __future__ import annotations

from collections.abc import Sequence

from clary.formats.finding_sentences import WELL_BUILT, first_line
from clary.sdk.profiling import REPORT_RULE
from clary.sdk.rule_evaluations import RuleEvaluation

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
