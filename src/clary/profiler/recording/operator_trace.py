"""What torch's profiler wrote of chosen steps, put on the time axis of the whole job."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from clary.errors import FormatError
from clary.formats.timeline.reader import Worker

Event = dict[str, Any]


def operator_events(
    worker: Worker, zero_us: int, numbers: Iterator[int], title: str
) -> Iterator[Event]:
    """The events of all traces of a worker.

    Args:
        worker: whose traces.
        zero_us: what is subtracted from their moments, in microseconds since 1970.
        numbers: gives each process of a trace a number of its own.
        title: what stands before a process's name.

    Raises:
        FormatError: a trace is damaged.
    """
    for window in worker.operators:
        path = worker.folder / (window.trace or "")
        if window.trace is None or not path.is_file():
            continue
        steps = f"steps {window.first} to {window.last}"
        processes: dict[Any, int] = {}
        for event in read_trace(path, window.start_us):
            if "pid" not in event:
                continue
            if event["pid"] not in processes:
                processes[event["pid"]] = next(numbers)
                yield {
                    "ph": "M",
                    "pid": processes[event["pid"]],
                    "name": "process_name",
                    "args": {"name": f"{title} {event['pid']}, {steps}"},
                }
            moved = {**event, "pid": processes[event["pid"]]}
            if "ts" in event:
                start_us = event["ts"] - zero_us
                moved["ts"] = round(max(0.0, start_us), 3)
                if start_us < 0 and "dur" in event:
                    moved["dur"] = max(0.0, event["dur"] + start_us)
            if event.get("ph") == "M" and event.get("name") == "process_name":
                said = dict(event.get("args") or {}).get("name", "")
                moved["args"] = {"name": f"{title} {said}, {steps}"}
            yield moved


def read_trace(path: Path, start_us: int) -> Iterator[Event]:
    """The events of a trace of torch's profiler, their moments in microseconds since 1970.

    Args:
        path: of the file, compressed or not.
        start_us: when it began, for a trace that has moments of another clock.

    Raises:
        FormatError: it is damaged.
    """
    try:
        packed = path.read_bytes()
        content = json.loads(gzip.decompress(packed) if path.suffix == ".gz" else packed)
        events = content["traceEvents"]
        base_us = float(content.get("baseTimeNanoseconds", 0)) / 1e3
    except (OSError, EOFError, zlib.error, ValueError, KeyError, TypeError) as error:
        raise FormatError(f"{path} is no trace of torch's profiler: {error}") from error
    timed = [event for event in events if event.get("ph") != "M" and "ts" in event]
    first_us = min((event["ts"] for event in timed), default=0.0) + base_us
    # Half an hour apart is no clock that was set, but one that counts from another moment.
    moved_us = base_us if abs(first_us - start_us) < 1.8e9 else start_us - (first_us - base_us)
    for event in events:
        if event.get("ph") != "M" and "ts" in event:
            yield {**event, "ts": event["ts"] + moved_us}
        else:
            yield {key: value for key, value in event.items() if key != "ts"}
