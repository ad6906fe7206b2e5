"""Adds up a Chrome trace of torch.profiler: `python trace_sums.py TRACE.json TRACE.json.gz`.

Prints the operators as JSON, most time first, and compresses the trace. A process of its own,
which needs nothing but the standard library.

Time is an operator's own where none of those it calls takes it. A kernel's time on the device
belongs to the operator that launched it, as the trace's `External id` says; what memory an operator
took and did not give back is the sum over those that the trace puts inside it and in no other.
"""

from __future__ import annotations

import gzip
import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

KEPT = 300
_OPERATORS = frozenset({"cpu_op", "user_annotation"})
_ON_DEVICE = frozenset({"kernel", "gpu_memcpy", "gpu_memset"})
_CPU = 0


class _Sum:
    """What all calls of one operator took, in microseconds and bytes."""

    def __init__(self) -> None:
        self.calls = 0
        self.own_us = 0.0
        self.total_us = 0.0
        self.device_own_us = 0.0
        self.device_total_us = 0.0
        self.memory_bytes = 0
        self.device_memory_bytes = 0

    def as_json(self, name: str) -> dict[str, Any]:
        """As `clary.formats.timeline.entries.Operator` has it."""
        return {
            "name": name,
            "calls": self.calls,
            "cpu_self_s": self.own_us / 1e6,
            "cpu_total_s": self.total_us / 1e6,
            "device_self_s": self.device_own_us / 1e6,
            "device_total_s": self.device_total_us / 1e6,
            "memory_bytes": self.memory_bytes,
            "device_memory_bytes": self.device_memory_bytes,
        }


class _Call:
    """One call of an operator, within the one that called it."""

    __slots__ = ("children_us", "device_us", "end_us", "event", "name", "parent")

    def __init__(self, event: dict[str, Any], parent: _Call | None) -> None:
        self.event = event
        self.parent = parent
        self.name = str(event["name"])
        self.end_us = float(event["ts"]) + float(event["dur"])
        self.children_us = 0.0
        self.device_us = 0.0


def sums_of(events: list[dict[str, Any]]) -> dict[str, Any]:
    """Operators and the most memory at once, of a trace's events."""
    sums: dict[str, _Sum] = {}
    calls: dict[int, _Call] = {}
    peaks = {"cpu": 0, "device": 0}
    for thread in _threads(events):
        _walk(thread, sums, calls, peaks)
    _add_devices(events, sums, calls)
    rows = [one.as_json(name) for name, one in sums.items()]
    rows.sort(key=lambda row: -(row["cpu_self_s"] + row["device_self_s"]))
    peak = peaks["device"] or peaks["cpu"]
    return {"operators": rows[:KEPT], "peak_memory_bytes": peak or None}


def _threads(events: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """Calls and changes of memory of each thread, in order, callers before whom they call."""
    threads: dict[tuple[Any, Any], list[dict[str, Any]]] = {}
    for event in events:
        is_call = event.get("ph") == "X" and event.get("cat") in _OPERATORS
        if is_call or event.get("name") == "[memory]":
            threads.setdefault((event.get("pid"), event.get("tid")), []).append(event)
    for thread in threads.values():
        thread.sort(key=lambda event: (float(event["ts"]), -float(event.get("dur", 0.0))))
    return list(threads.values())


def _walk(
    thread: list[dict[str, Any]],
    sums: dict[str, _Sum],
    calls: dict[int, _Call],
    peaks: dict[str, int],
) -> None:
    stack: list[_Call] = []
    for event in thread:
        at_us = float(event["ts"])
        while stack and stack[-1].end_us <= at_us:
            _close(stack.pop(), sums)
        if event["name"] == "[memory]":
            _add_memory(event, sums.setdefault(stack[-1].name, _Sum()) if stack else None, peaks)
            continue
        call = _Call(event, stack[-1] if stack else None)
        number = event.get("args", {}).get("External id")
        if number is not None:
            calls[int(number)] = call
        stack.append(call)
    while stack:
        _close(stack.pop(), sums)


def _close(call: _Call, sums: dict[str, _Sum]) -> None:
    entry = sums.setdefault(call.name, _Sum())
    duration_us = float(call.event["dur"])
    # Variants of one operator that call each other are one call, as torch counts them.
    entry.calls += call.parent is None or call.parent.name != call.name
    entry.own_us += max(0.0, duration_us - call.children_us)
    if not _is_recursive(call):
        entry.total_us += duration_us
    if call.parent is not None:
        call.parent.children_us += duration_us


def _is_recursive(call: _Call) -> bool:
    """Whether an operator of that name has called it, whose time holds its own already."""
    above = call.parent
    while above is not None:
        if above.name == call.name:
            return True
        above = above.parent
    return False


def _add_memory(event: dict[str, Any], entry: _Sum | None, peaks: dict[str, int]) -> None:
    given = event.get("args", {})
    size, total = int(given.get("Bytes", 0)), int(given.get("Total Allocated", 0))
    on_cpu = int(given.get("Device Type", _CPU)) == _CPU
    where = "cpu" if on_cpu else "device"
    peaks[where] = max(peaks[where], total)
    if entry is None:
        return
    if on_cpu:
        entry.memory_bytes += size
    else:
        entry.device_memory_bytes += size


def _add_devices(
    events: list[dict[str, Any]], sums: dict[str, _Sum], calls: dict[int, _Call]
) -> None:
    for event in events:
        if event.get("ph") != "X" or event.get("cat") not in _ON_DEVICE:
            continue
        call = calls.get(int(event.get("args", {}).get("External id", -1)))
        if call is None:
            continue
        duration_us = float(event["dur"])
        sums[call.name].device_own_us += duration_us
        above: _Call | None = call
        named: set[str] = set()
        while above is not None:
            if above.name not in named:
                named.add(above.name)
                sums[above.name].device_total_us += duration_us
            above = above.parent


def main(trace: Path, compressed: Path) -> None:
    """Add up, print, compress; the compressed trace appears whole or not at all."""
    with trace.open(encoding="utf-8", errors="replace") as file:
        content = json.load(file)
    events = content["traceEvents"] if isinstance(content, dict) else content
    json.dump(sums_of(events), sys.stdout)
    partial = compressed.with_name(f".{compressed.name}.tmp")
    try:
        with trace.open("rb") as source, gzip.open(partial, "wb", compresslevel=4) as target:
            shutil.copyfileobj(source, target)
        partial.replace(compressed)
    finally:
        partial.unlink(missing_ok=True)


if __name__ == "__main__":
    # The training goes before.
    os.nice(10)
    main(Path(sys.argv[1]), Path(sys.argv[2]))
