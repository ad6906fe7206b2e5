"""How memory developed: where it began, its peak, where it ended, and whether it keeps growing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from clary.jobs.profile_report.envelopes import Floats
from clary.jobs.profile_report.resources import Resource

# The beginning of a job takes memory in any case.
_WARM_UP = 0.3
_LEAST_SAMPLES = 20
# Less than this part of it a minute is none.
_NOTHING = 0.005


@dataclass(frozen=True)
class MemoryRow:
    """A memory of a host; `growth` is a minute's, after the warm-up; None where too little is
    known, and of the machine, where others live too.
    """

    host: str
    label: str
    begin: str
    peak: str
    end: str
    growth: str | None


def memory_rows(measured: Sequence[Resource]) -> tuple[MemoryRow, ...]:
    """Each memory that was measured: of the machine, of the job, of each GPU."""
    wanted = ("memory", "job_memory")
    return tuple(
        _row(one) for one in measured if one.key in wanted or one.key.startswith("gpu_memory")
    )


def growth_per_minute(times_s: Floats, values: Floats) -> float | None:
    """By how much a series grows a minute after its first third: the median of the slopes between
    its medians in eight parts (Theil and Sen's estimate, which no single jump moves).
    """
    kept = times_s >= times_s[0] + _WARM_UP * (times_s[-1] - times_s[0])
    times, held = times_s[kept], values[kept]
    if len(held) < _LEAST_SAMPLES or times[-1] <= times[0]:
        return None
    at = np.array([np.median(part) for part in np.array_split(times, 8)])
    level = np.array([np.median(part) for part in np.array_split(held, 8)])
    first, second = np.triu_indices(8, 1)
    return float(np.median((level[second] - level[first]) / (at[second] - at[first]))) * 60.0


def _growth(one: Resource, growth: float) -> str:
    if abs(growth) < _NOTHING * float(np.median(one.values)):
        return "none"
    return f"{'+' if growth > 0 else '−'}{one.text(abs(growth))}"


def _row(one: Resource) -> MemoryRow:
    growth = growth_per_minute(one.times_s, one.values)
    return MemoryRow(
        host=one.host,
        label=one.label,
        begin=one.text(float(one.values[0])),
        peak=one.text(float(one.values.max())),
        end=one.text(float(one.values[-1])),
        growth=None if growth is None or one.key == "memory" else _growth(one, growth),
    )
