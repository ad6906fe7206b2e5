"""What torch and Python did in the steps that were looked at closely: tables, most time first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from clary.formats.timeline.entries import Function, Functions, Operator, Operators

MOST_ROWS = 20
# Paths of functions are shown from here on.
_SITE = ("site-packages/", "dist-packages/", "lib/python")


@dataclass(frozen=True)
class OperatorRow:
    """An operator: its own time a step, its share of all operators', and calls a step."""

    name: str
    seconds: float
    share: float
    total_s: float
    calls: float
    memory_bytes: float


@dataclass(frozen=True)
class OperatorTables:
    """Operators on the CPU, on the accelerator, and those that take memory.

    `steps` were looked at, in `traces` Chrome traces; the totals are of one step.
    """

    steps: int
    cpu: tuple[OperatorRow, ...]
    cpu_s: float
    device: tuple[OperatorRow, ...]
    device_s: float
    memory: tuple[OperatorRow, ...]
    traces: tuple[str, ...]
    peak_memory_bytes: int | None


@dataclass(frozen=True)
class FunctionRow:
    """A Python function: its own time a step, with what it called, and calls a step."""

    name: str
    place: str
    seconds: float
    share: float
    total_s: float
    calls: float


@dataclass(frozen=True)
class FunctionTable:
    """Python functions of so many steps; `seconds` of one step in all."""

    steps: int
    rows: tuple[FunctionRow, ...]
    seconds: float


def operator_tables(windows: Sequence[Operators]) -> OperatorTables | None:
    """What operators took, over all windows of steps; None where no step was looked at."""
    steps = sum(one.last - one.first + 1 for one in windows)
    if not steps:
        return None
    summed = _summed([operator for one in windows for operator in one.operators])
    peaks = [one.peak_memory_bytes for one in windows if one.peak_memory_bytes is not None]
    cpu, cpu_s = _table(summed, steps, lambda one: (one.cpu_self_s, one.cpu_total_s))
    device, device_s = _table(summed, steps, lambda one: (one.device_self_s, one.device_total_s))
    memory = sorted(
        (_row(one, steps, one.cpu_self_s, one.cpu_total_s, cpu_s * steps) for one in summed),
        key=lambda row: -row.memory_bytes,
    )
    return OperatorTables(
        steps=steps,
        cpu=cpu,
        cpu_s=cpu_s,
        device=device,
        device_s=device_s,
        memory=tuple(row for row in memory[:8] if row.memory_bytes > 1e6),
        traces=tuple(one.trace for one in windows if one.trace),
        peak_memory_bytes=max(peaks, default=None),
    )


def function_table(windows: Sequence[Functions]) -> FunctionTable | None:
    """What Python functions took, over all windows of steps; None where none was looked at."""
    steps = sum(one.last - one.first + 1 for one in windows)
    if not steps:
        return None
    held: dict[tuple[str, str, int], list[Function]] = {}
    for one in windows:
        for function in one.functions:
            held.setdefault((function.name, function.file, function.line), []).append(function)
    whole = sum(one.self_s for found in held.values() for one in found) or 1.0
    rows = sorted(
        (
            FunctionRow(
                name=name,
                place=f"{short_path(file)}:{line}" if file else "",
                seconds=sum(one.self_s for one in found) / steps,
                share=sum(one.self_s for one in found) / whole,
                total_s=sum(one.total_s for one in found) / steps,
                calls=sum(one.calls for one in found) / steps,
            )
            for (name, file, line), found in held.items()
        ),
        key=lambda row: -row.seconds,
    )
    return FunctionTable(steps, tuple(rows[:MOST_ROWS]), whole / steps)


def short_path(path: str) -> str:
    """A file without what leads to the folder of packages, or its last two parts."""
    for mark in _SITE:
        before, found, after = path.rpartition(mark)
        if found:
            return after if mark != "lib/python" else after.partition("/")[2]
        del before
    return "/".join(path.split("/")[-2:])


def _summed(operators: Sequence[Operator]) -> list[Operator]:
    held: dict[str, list[Operator]] = {}
    for one in operators:
        held.setdefault(one.name, []).append(one)
    return [
        Operator(
            name=name,
            calls=sum(one.calls for one in found),
            cpu_self_s=sum(one.cpu_self_s for one in found),
            cpu_total_s=sum(one.cpu_total_s for one in found),
            device_self_s=sum(one.device_self_s for one in found),
            device_total_s=sum(one.device_total_s for one in found),
            memory_bytes=sum(one.memory_bytes for one in found),
            device_memory_bytes=sum(one.device_memory_bytes for one in found),
        )
        for name, found in held.items()
    ]


def _table(
    operators: Sequence[Operator],
    steps: int,
    times: Callable[[Operator], tuple[float, float]],
) -> tuple[tuple[OperatorRow, ...], float]:
    whole = sum(times(one)[0] for one in operators)
    if whole <= 0:
        return (), 0.0
    rows = sorted((_row(one, steps, *times(one), whole) for one in operators),
                  key=lambda row: -row.seconds)  # fmt: skip
    return tuple(row for row in rows[:MOST_ROWS] if row.seconds > 0), whole / steps


def _row(one: Operator, steps: int, self_s: float, total_s: float, whole: float) -> OperatorRow:
    return OperatorRow(
        name=one.name,
        seconds=self_s / steps,
        share=self_s / whole if whole else 0.0,
        total_s=total_s / steps,
        calls=one.calls / steps,
        memory_bytes=max(one.memory_bytes, one.device_memory_bytes) / steps,
    )
