"""System metrics as series, and which of them somebody wants to see."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ...system_profiler_file_parser import ProfilerSystemEvent

Series = npt.NDArray[np.float64]
"""(moments, 2): seconds since 1970, rising, and values."""
TOTAL = "total"
NODE = "-nodeid:"

# What is counted in different units has no mean.
_WITHOUT_TOTAL = {"Process", "i/o"}


def grouped(
    events: Iterable[ProfilerSystemEvent], show_workers: bool
) -> dict[str, dict[str, Series]]:
    """Series by dimension (`CPUUtilization`, or `CPUUtilization-nodeid:algo-1`) and name.

    `total` is the mean of all names of a dimension at a moment. What has no dimension in
    SageMaker's files goes by its type: `memory`, `i/o`.
    """
    found: dict[str, dict[str, list[tuple[float, float]]]] = {}
    mixed = set()
    for one in events:
        kind = one.dimension or one.type
        dimension = f"{kind}{NODE}{one.node_id}" if show_workers else kind
        found.setdefault(dimension, {}).setdefault(one.name, []).append((one.timestamp, one.value))
        if kind in _WITHOUT_TOTAL:
            mixed.add(dimension)
    return {
        dimension: _with_total(found[dimension], dimension not in mixed)
        for dimension in sorted(found)
    }


def _with_total(
    held: Mapping[str, Sequence[tuple[float, float]]], total: bool
) -> dict[str, Series]:
    series = {}
    for name in sorted(held, key=natural):
        points = np.asarray(held[name], dtype=np.float64)
        series[name] = points[np.argsort(points[:, 0], kind="stable")]
    if total:
        points = np.concatenate(list(series.values()))
        moments, place, counts = np.unique(points[:, 0], return_inverse=True, return_counts=True)
        means = np.bincount(place, weights=points[:, 1]) / counts
        series[TOTAL] = np.column_stack([moments, means])
    return series


def natural(name: str) -> list[Any]:
    """A key to sort by that puts `cpu2` before `cpu10`."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]


def chosen(available: Iterable[str], expressions: Sequence[str]) -> list[str]:
    """Those of the names in which one of the regular expressions is found, in their order."""
    wanted = [re.compile(expression) for expression in expressions]
    return [name for name in dict.fromkeys(available) if any(one.search(name) for one in wanted)]


def selected(
    series: Mapping[str, Mapping[str, Series]],
    dimensions: Sequence[str],
    events: Sequence[str],
) -> list[tuple[str, str, Series]]:
    """Dimension, name and series of what two lists of regular expressions choose.

    Says so, with what there is, when that is nothing.
    """
    found = [
        (dimension, name, series[dimension][name])
        for dimension in chosen(series, dimensions)
        for name in chosen(series[dimension], events)
    ]
    if not found:
        there = ", ".join(
            f"{dimension} ({', '.join(names)})" for dimension, names in series.items()
        )
        print(
            f"nothing is called so: select_dimensions={list(dimensions)} and "
            f"select_events={list(events)}; there is {there or 'nothing at all yet'}"
        )
    return found


def unit_of(dimension: str, name: str) -> str:
    """The unit of a series; empty for a count."""
    kind = dimension.partition(NODE)[0]
    if kind == "memory" or any(word in kind for word in ("Utilization", "Percentage")):
        return "%"
    if kind == "Process" and name == "CPUUtilization":
        return "% of a core"
    units = {"PowerWatts": "W", "TemperatureCelsius": "°C"}
    if kind in units:
        return units[kind]
    if name == "MemoryBytes":
        return "B"
    return "B/s" if "Bytes" in name or kind in {"Algorithm", "Platform"} else ""


def title_of(dimension: str, name: str) -> str:
    """What a chart is headed by: `CPUUtilization · cpu0 · algo-1`."""
    kind, _, node = dimension.partition(NODE)
    return " · ".join(part for part in (kind, name, node) if part)
