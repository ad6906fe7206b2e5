"""Numbers as a person reads them."""

from __future__ import annotations

import re
from collections.abc import Sequence

_NUMBER = re.compile(r"^\d{2,}\.(?=[^\W\d])")


def percent(share: float, digits: int = 1) -> str:
    """A share as a percentage: `95.4 %`; whole numbers stay whole."""
    text = f"{100 * share:.{digits}f}"
    if digits and float(text) in {0.0, 100.0}:
        text = f"{float(text):.0f}"
    return f"{text}\u202f%"


def interval(low: float, high: float) -> str:
    """A range of shares: `93.2–96.9 %`."""
    return f"{percent(low).removesuffix(chr(0x202F) + '%')}–{percent(high)}"


def duration(seconds: float) -> str:
    """A time in the largest fitting units: `48 s`, `3 min 20 s`, `2 h 5 min`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s" if whole % 60 else f"{whole // 60} min"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def listed(names: Sequence[str], most: int = 4) -> str:
    """Names in a sentence: `a, b and c`, or `a, b and 7 more`."""
    shown = list(names[:most])
    if len(names) > most:
        return f"{', '.join(shown)} and {len(names) - most:,} more"
    return " and ".join([", ".join(shown[:-1]), shown[-1]] if len(shown) > 1 else shown)


def readable(name: str) -> str:
    """A class name without what folders need: underscores for blanks, a number such as `007.`."""
    return _NUMBER.sub("", name).replace("_", " ").strip() or name
