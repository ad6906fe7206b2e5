"""Making findings: names cut at the format's limit, words that fit the number."""

from __future__ import annotations

from collections.abc import Sequence

from clary.formats.data_check import NAMES_LIMIT, CheckFinding, Severity
from clary.formats.text import valid_text


def finding(
    code: str,
    severity: Severity,
    message: str,
    names: Sequence[str] = (),
    *,
    count: int | None = None,
    details: Sequence[str] = (),
) -> CheckFinding:
    """A finding about all of `names`, of which 50 are kept; `count` where it is another number."""
    return CheckFinding(
        code=code,
        severity=severity,
        message=valid_text(message),
        count=len(names) if count is None else count,
        names=tuple(map(valid_text, names[:NAMES_LIMIT])),
        details=tuple(map(valid_text, details[:NAMES_LIMIT])),
    )


def number(count: int, noun: str, plural: str | None = None) -> str:
    """`1 picture`, `2,000 pictures`."""
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"


def share(part: int, whole: int) -> str:
    """A percentage for people: `12 %`, `0.4 %`."""
    percent = 100 * part / whole if whole else 0.0
    return f"{percent:.0f} %" if percent >= 10 else f"{percent:.2g} %"
