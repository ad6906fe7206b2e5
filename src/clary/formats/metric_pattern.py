"""What a metric definition's regular expression finds in a line of a log: one rule for the service
that follows jobs, and for who tries an expression.

The first group gives the number. A metric has finite values only; that a log said `nan` matters to
who judges a training by it.
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
    except RecursionError as error:
        raise ValueError("it is nested too deep") from error


def matched_value(match: regex.Match[str] | None) -> float | None:
    """The finite number that a search has found; None where it has found none."""
    value = matched_number(match)
    return value if value is not None and math.isfinite(value) else None


def matched_number(match: regex.Match[str] | None) -> float | None:
    """The number that a search has found, NaN and infinity among them; None where there is none."""
    if match is None or not match.re.groups:
        return None
    try:
        return float(match.group(1) or "")
    except ValueError:
        return None
