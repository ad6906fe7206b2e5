"""Numbers in sentences."""

from __future__ import annotations


def brief(seconds: float) -> str:
    """A short time in two or three figures: `41 µs`, `4.1 ms`, `310 ms`, `1.2 s`, `3 min 20 s`."""
    if not seconds:
        return "0 s"
    whole = round(seconds)
    if whole >= 3600:
        return _of_two(whole // 60, 60, ("h", "min"))
    if whole >= 100:
        return _of_two(whole, 60, ("min", "s"))
    for unit, factor in (("s", 1.0), ("ms", 1e3), ("µs", 1e6)):
        value = seconds * factor
        if value >= 0.995 or unit == "µs":
            return f"{value:.0f} {unit}" if value >= 9.95 else f"{value:.1f} {unit}"
    raise AssertionError("unreachable")


def percent(share: float) -> str:
    """`61 %`, `4.2 %`."""
    return f"{100 * share:.0f} %" if share >= 0.0995 or not share else f"{100 * share:.1f} %"


def times(factor: float) -> str:
    """`1.06 ×`, `1.9 ×`, `12 ×`."""
    digits = 0 if factor >= 9.95 else 2 if factor < 1.095 else 1
    return f"{factor:.{digits}f} ×"


def number(value: float) -> str:
    """`12,300`, `187`, `4.2`."""
    return f"{value:,.0f}" if value >= 9.95 or value == round(value) else f"{value:.1f}"


def size(value: float) -> str:
    """Bytes in the largest fitting unit, of 1,000 each: `640 B`, `1.2 MB`, `24 GB`."""
    for unit, factor in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if abs(value) >= 0.995 * factor:
            return f"{number(value / factor)} {unit}"
    return f"{value:.0f} B"


def _of_two(whole: int, factor: int, units: tuple[str, str]) -> str:
    large, small = divmod(whole, factor)
    return f"{large} {units[0]} {small} {units[1]}" if small else f"{large} {units[0]}"
