"""Statistics of metric values over periods, as CloudWatch computes them."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence

from clary.service.state.metric_data import Datum

STATISTICS = ("SampleCount", "Average", "Sum", "Minimum", "Maximum")

_PERCENTILE = re.compile(r"p(?P<percent>\d{1,2}(?:\.\d+)?|100)")


def periods(data: Iterable[Datum], start_ms: int, period_ms: int) -> dict[int, list[Datum]]:
    """Values by the begin of their period, which is counted from the start."""
    grouped: dict[int, list[Datum]] = defaultdict(list)
    for datum in data:
        begin_ms = start_ms + (datum.timestamp_ms - start_ms) // period_ms * period_ms
        grouped[begin_ms].append(datum)
    return dict(sorted(grouped.items()))


def statistic(data: Sequence[Datum], name: str) -> float | None:
    """One statistic of a period that has values.

    None for a percentile of values of which only a summary is known.

    Args:
        data: at least one value.
        name: one of `STATISTICS`, or a percentile such as `p99.9`.

    Raises:
        ValueError: there is no such statistic.
    """
    count = sum(datum.count for datum in data)
    total = sum(datum.sum for datum in data)
    if name == "SampleCount":
        return count
    if name == "Sum":
        return total
    if name == "Average":
        return total / count if count else None
    if name == "Minimum":
        return min(datum.minimum for datum in data)
    if name == "Maximum":
        return max(datum.maximum for datum in data)
    match = _PERCENTILE.fullmatch(name)
    if match is None:
        raise ValueError(
            f"{name!r} is not offered: {', '.join(STATISTICS)} and percentiles (p0 to p100) are"
        )
    return _percentile(data, float(match["percent"]))


def _percentile(data: Sequence[Datum], percent: float) -> float | None:
    """The value at the rank, linearly between its neighbours."""
    if any(datum.minimum != datum.maximum for datum in data):
        return None
    ordered = sorted(data, key=lambda datum: datum.minimum)
    rank = percent / 100 * (sum(datum.count for datum in ordered) - 1)
    lower, upper = _at(ordered, math.floor(rank)), _at(ordered, math.ceil(rank))
    return lower + (upper - lower) * (rank - math.floor(rank))


def _at(ordered: Sequence[Datum], rank: float) -> float:
    seen = 0.0
    for datum in ordered:
        seen += datum.count
        if rank < seen:
            return datum.minimum
    return ordered[-1].minimum
