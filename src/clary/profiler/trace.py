"""A job's time as a Chrome trace: steps, phases, loaders and the machine on one axis.

    write_chrome_trace(profile, Path("photos.json.gz"))    # opens in https://ui.perfetto.dev

| track                  | holds                                                              |
|------------------------|--------------------------------------------------------------------|
| `algo-1 machine`       | counters: processors, memory, disks, network, GPUs, the job's own   |
| `algo-1 worker_0`      | a process that trains, with these threads:                          |
| · steps                | a slice for each step, its phases below it                          |
| · device               | what the accelerator took for each phase, by its own events         |
| · initialization, …    | a thread for each kind of span                                      |
| · loading, loader n    | batches as they were made                                           |
| `algo-1 worker_0 cpu`  | operators of the steps that torch's profiler looked at              |

Only the sum of each phase is recorded for a step, so that phases are drawn one after the other in
the order in which they follow each other; what they leave blank is the script's own.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from clary.errors import DataError
from clary.formats.files import replacing
from clary.formats.timeline.entries import PHASES, Mode
from clary.formats.timeline.reader import Records, Worker
from clary.profiler.coarse_steps import coarse_steps
from clary.profiler.framework_events import write_framework_events
from clary.profiler.profile import Host, Profile
from clary.profiler.recording.operator_trace import operator_events
from clary.profiler.sampling.counters import machine_counters

__all__ = ["write_chrome_trace", "write_framework_events"]

# Perfetto draws some hundred thousand slices at once with ease.
MOST_STEPS = 40_000
MOST_LOADS = 100_000

_STEPS, _DEVICE, _SPANS, _LOADS = 1, 2, 10, 100
_STEP_NAMES = {Mode.TRAIN: "training step", Mode.EVAL: "evaluation step"}

Event = dict[str, Any]


def write_chrome_trace(profile: Profile, path: Path) -> None:
    """Write everything that is known of a job's time for Perfetto or `chrome://tracing`.

    A job of more than 40,000 records of steps is drawn by sums over neighbouring ones, which say
    how many they are.

    Args:
        profile: as it stands.
        path: of the file; compressed where its name ends in `.gz`.

    Raises:
        DataError: nothing was recorded.
        FormatError: a trace of operators is damaged.
        StorageError: the file cannot be written.
    """
    bounds = profile.bounds
    if bounds is None:
        raise DataError("nothing was profiled: there is nothing to write")
    zero_us = int(bounds[0] * 1e6)
    about = {"job": profile.job.name, "start_s": bounds[0], "seconds": bounds[1] - bounds[0]}
    with replacing(path) as temporary, _opened(temporary, packed=path.suffix == ".gz") as file:
        file.write(f'{{"displayTimeUnit": "ms", "otherData": {json.dumps(about)}, "traceEvents": [')
        before = "\n"
        for event in _events(profile, zero_us):
            file.write(before + json.dumps(event, separators=(",", ":")))
            before = ",\n"
        file.write("\n]}\n")


@contextmanager
def _opened(path: Path, *, packed: bool) -> Iterator[TextIO]:
    if packed:
        with gzip.open(path, "wt", encoding="utf-8", compresslevel=5) as file:
            yield file
    else:
        with path.open("w", encoding="utf-8") as file:
            yield file


def _events(profile: Profile, zero_us: int) -> Iterator[Event]:
    numbers = count(1)
    for host in profile.hosts:
        yield from _machine(host, next(numbers), zero_us)
        for worker in host.workers.values():
            number = next(numbers)
            yield from _named(number, f"{host.name} {worker.name}{_program(worker)}")
            for events in (_steps, _spans, _loads):
                for event in events(worker, zero_us):
                    yield {**event, "pid": number}
            title = f"{host.name} {worker.name}"
            yield from operator_events(worker, zero_us, numbers, title)


def _machine(host: Host, number: int, zero_us: int) -> Iterator[Event]:
    named = False
    for counter in machine_counters(host.system):
        if not named:
            yield from _named(number, f"{host.name} machine")
            named = True
        for at_s, value in zip(counter.times_s.tolist(), counter.values.tolist(), strict=True):
            yield {
                "ph": "C",
                "name": counter.name,
                "pid": number,
                "ts": round(at_s * 1e6 - zero_us, 3),
                "args": {counter.unit: round(value, 3)},
            }


def _steps(worker: Worker, zero_us: int) -> Iterator[Event]:
    records = coarse_steps(worker.steps(), MOST_STEPS)
    if len(records):
        yield from _thread(_STEPS, "steps")
    if not np.isnan(records["device_s"]).all():
        yield from _thread(_DEVICE, "device")
    starts = records["start_us"] - zero_us
    lengths = _within(records["start_us"], records["seconds"])
    device_us = 0.0
    for record, start_us, length_us in zip(records, starts.tolist(), lengths, strict=True):
        step = int(record["step"])
        facts: Event = {"step": step}
        if record["merged"] > 1:
            facts["steps"] = int(record["merged"])
            facts["longest_ms"] = round(float(record["longest_s"]) * 1e3, 3)
        if record["pictures"]:
            facts["pictures"] = int(record["pictures"])
        name = _STEP_NAMES[Mode(int(record["mode"]))]
        yield _slice(_STEPS, name, start_us, length_us, facts)
        yield from _phases(_STEPS, record["phases_s"], start_us, length_us)
        # A device may be behind its host: what it did begins when it is done with what was before.
        device_us = max(device_us, start_us)
        yield from _phases(_DEVICE, record["device_s"], device_us, np.inf)
        device_us += float(np.nansum(record["device_s"].astype(np.float64))) * 1e6


def _phases(thread: int, seconds: Records, start_us: float, length_us: float) -> Iterator[Event]:
    """A step's phases, one after the other and not beyond its end."""
    left_us = length_us
    for phase, phase_us in zip(PHASES, (seconds.astype(np.float64) * 1e6).tolist(), strict=True):
        phase_us = min(phase_us, left_us)  # noqa: PLW2901 - NaN compares as false and stays
        if phase_us > 0:
            yield _slice(thread, phase, start_us, phase_us)
            start_us += phase_us
            left_us -= phase_us


def _spans(worker: Worker, zero_us: int) -> Iterator[Event]:
    threads: dict[str, int] = {}
    for span in worker.spans:
        if span.kind not in threads:
            threads[span.kind] = _SPANS + len(threads)
            yield from _thread(threads[span.kind], span.kind)
        length_us = max(0, span.end_us - span.start_us)
        yield _slice(
            threads[span.kind], span.label or span.kind, span.start_us - zero_us, length_us
        )


def _loads(worker: Worker, zero_us: int) -> Iterator[Event]:
    loads = worker.loads()
    for number in np.unique(loads["worker"]).tolist():
        own = loads[loads["worker"] == number]
        # What is left out is left out everywhere alike, and the thread says so.
        every = -(-len(loads) // MOST_LOADS)
        lengths = _within(own["start_us"], own["seconds"])
        name = "loading" if number < 0 else f"loader {number}"
        thread = _LOADS + 1 + number
        yield from _thread(thread, name if every < 2 else f"{name} (one batch of {every})")
        for record, length_us in zip(own[::every], lengths[::every], strict=True):
            start_us = int(record["start_us"]) - zero_us
            facts = {"pictures": int(record["pictures"])} if record["pictures"] else None
            yield _slice(thread, "batch", start_us, length_us, facts)


def _within(starts_us: Records, seconds: Records) -> list[float]:
    """Lengths in microseconds; none reaches into what follows, which would not nest."""
    lengths = seconds.astype(np.float64) * 1e6
    lengths[:-1] = np.minimum(lengths[:-1], np.diff(starts_us))
    return [round(max(0.0, length), 3) for length in lengths.tolist()]


def _program(worker: Worker) -> str:
    facts = worker.facts
    return "" if facts is None else f" (process {facts.pid})"


def _slice(
    thread: int, name: str, start_us: float, length_us: float, facts: Event | None = None
) -> Event:
    event: Event = {
        "ph": "X",
        "name": name,
        "tid": thread,
        "ts": round(start_us, 3),
        "dur": round(length_us, 3),
    }
    return {**event, "args": facts} if facts else event


def _named(number: int, name: str) -> Iterable[Event]:
    about = {"ph": "M", "pid": number, "tid": 0}
    yield {**about, "name": "process_name", "args": {"name": name}}
    yield {**about, "name": "process_sort_index", "args": {"sort_index": number}}


def _thread(number: int, name: str) -> Iterable[Event]:
    about = {"ph": "M", "tid": number}
    yield {**about, "name": "thread_name", "args": {"name": name}}
    yield {**about, "name": "thread_sort_index", "args": {"sort_index": number}}
