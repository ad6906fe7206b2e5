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


def counted(count: int, noun: str, plural: str | None = None) -> str:
    """A number and its noun: `1 picture`, `1,200 pictures`."""
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"


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


def brief(seconds: float) -> str:
    """A short time in three figures: `41 µs`, `4.1 ms`, `310 ms`, `1.24 s`; then as `duration`."""
    if seconds >= 60:
        return duration(seconds)
    for unit, factor in (("s", 1.0), ("ms", 1e3), ("µs", 1e6)):
        if seconds >= 0.9995 / factor:
            return f"{_three_figures(seconds * factor)} {unit}"
    return "0 s" if seconds <= 0 else f"{seconds * 1e6:.2f} µs"


def size(number: float) -> str:
    """Bytes in the largest fitting unit, of 1,000 each: `640 B`, `1.2 MB`, `24 GB`."""
    for unit, factor in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if abs(number) >= 0.9995 * factor:
            return f"{_three_figures(number / factor)} {unit}"
    return f"{number:.0f} B"


def times(factor: float) -> str:
    """How many times as much: `1.9 ×`, `12 ×`, `1.04 ×`."""
    digits = 0 if factor >= 9.95 else 2 if 0.9 < factor < 1.095 else 1
    return f"{factor:.{digits}f}\u202f×"


def listed(names: Sequence[str], most: int = 4) -> str:
    """Names in a sentence: `a, b and c`, or `a, b and 7 more`."""
    shown = list(names[:most])
    if len(names) > most:
        return f"{', '.join(shown)} and {len(names) - most:,} more"
    return " and ".join([", ".join(shown[:-1]), shown[-1]] if len(shown) > 1 else shown)


def readable(name: str) -> str:
    """A class name without what folders need: underscores for blanks, a number such as `007.`."""
    return _NUMBER.sub("", name).replace("_", " ").strip() or name


def _three_figures(value: float) -> str:
    """Three figures at most, without zeros at the end."""
    digits = 0 if abs(value) >= 99.95 else 1 if abs(value) >= 9.995 else 2
    text = f"{value:.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
