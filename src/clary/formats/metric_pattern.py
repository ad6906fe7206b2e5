"""What a metric definition's regular expression finds in a line of a log: one rule for the service
that follows jobs, and for who tries an expression.

The first group gives the number. What is no finite number, `nan` among them, is none.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import regex


def compile_pattern(pattern: str) -> regex.Pattern[str]:
    """A definition's pattern.

    Raises:
        ValueError: it is no regular expression.
    """
    import regex

    try:
        return regex.compile(pattern)
    except regex.error as error:
        raise ValueError(str(error)) from error


def matched_value(match: regex.Match[str] | None) -> float | None:
    """The number that a search has found; None where it has found none."""
    if match is None or not match.re.groups:
        return None
    try:
        value = float(match.group(1) or "")
    except ValueError:
        return None
    return value if math.isfinite(value) else None
