"""How memory developed: where it began, its peak, where it ended, and whether it keeps growing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from clary.jobs.profile_report.resources import Resource
from clary.profiler.memory_growth import growth
from clary.profiler.readings import Samples
from clary.profiler.wording import number

# What is known after fewer samples is too little.
_LEAST_SAMPLES = 20
# Of a memory that is measured in percent; less a minute is none.
_LEAST_POINTS = 0.1


@dataclass(frozen=True)
class MemoryRow:
    """A memory of a host; `growth` is a minute's, after the warm-up; None where too little is
    known, and of the machine, where others live too. It is judged as the verdict judges it.
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


def _growth(one: Resource) -> str | None:
    if one.key == "memory" or len(one.values) < _LEAST_SAMPLES:
        return None
    found = growth(Samples(one.times_s, one.values))
    if found is None:
        return "none"
    a_minute = 60.0 * found.per_s
    if one.unit == "percent":
        return f"+{number(a_minute)} points" if a_minute >= _LEAST_POINTS else "none"
    return f"+{one.text(a_minute)}"


def _row(one: Resource) -> MemoryRow:
    return MemoryRow(
        host=one.host,
        label=one.label,
        begin=one.text(float(one.values[0])),
        peak=one.text(float(one.values.max())),
        end=one.text(float(one.values[-1])),
        growth=_growth(one),
    )
