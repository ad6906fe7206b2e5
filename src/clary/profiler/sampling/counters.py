"""The machine's figures as few curves: the mean of all cores, each GPU, rates."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from clary.formats.system_metrics import SystemMetrics
from clary.profiler.profile import Floats

# A point for each pixel of a wide screen, several times over.
MOST_POINTS = 20_000


@dataclass(frozen=True)
class Counter:
    """One curve; `times_s` rise, in seconds since 1970."""

    name: str
    unit: str
    times_s: Floats
    values: Floats


def machine_counters(system: SystemMetrics) -> Iterator[Counter]:
    """What a machine did, as curves of at most about 20,000 points."""
    for dimension, name in (("CPUUtilization", "processors"), ("I/OWaitPercentage", "I/O wait")):
        times, values = mean_of_cores(system.of(dimension))
        if len(times):
            yield Counter(name, "%", *thinned(times, values, MOST_POINTS))
    cores = {"CPUUtilization", "I/OWaitPercentage"}
    for dimension, name in system.keys:
        if dimension in cores and name.startswith("cpu"):
            continue
        times, values = thinned(*system.series(dimension, name), MOST_POINTS)
        yield Counter(f"{dimension} {name}", _unit(dimension, name), times, values)


def mean_of_cores(series: Mapping[str, tuple[Floats, Floats]]) -> tuple[Floats, Floats]:
    """The mean of the series whose names begin with `cpu`, at each moment that one of them has."""
    cores = [one for name, one in series.items() if name.startswith("cpu")]
    if not cores:
        return np.empty(0), np.empty(0)
    times, places = np.unique(np.concatenate([one[0] for one in cores]), return_inverse=True)
    values = np.concatenate([one[1] for one in cores])
    return times, np.bincount(places, values) / np.bincount(places)


def thinned(times: Floats, values: Floats, most: int) -> tuple[Floats, Floats]:
    """At most about so many points: the lowest and the highest of each stretch, in their order."""
    if len(times) <= most:
        return times, values
    stretches = np.array_split(np.arange(len(times)), max(1, most // 2))
    kept = [
        place
        for stretch in stretches
        for place in sorted(
            {stretch[np.argmin(values[stretch])], stretch[np.argmax(values[stretch])]}
        )
    ]
    return times[kept], values[kept]


def _unit(dimension: str, name: str) -> str:
    words = f"{dimension} {name}"
    if any(word in words for word in ("Percent", "Utilization")):
        return "%"
    if "Power" in words:
        return "W"
    if "Temperature" in words:
        return "°C"
    if "IOPS" in words:
        return "operations/s"
    if name == "MemoryBytes":
        return "bytes"
    return "bytes/s" if "Byte" in words else "count"
