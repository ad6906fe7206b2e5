"""A job's steps in the files that SageMaker's readers of framework metrics know.

    framework/pevents/<YYYYMMDDHH>/<end, µs>_<pid>-<node>_pythontimeline.json
    framework/pytorch/cprofile/<pid>-<node>/<mode>-<step>-<phase>-<µs>_<…>/python_stats

The first are arrays of Chrome trace events, a file for each minute; a phase is what the trace
calls a process, and `ts` counts from `start_time_since_epoch_in_micros`. The second are what
`pstats` reads.

| phase                            | event                                                      |
|----------------------------------|------------------------------------------------------------|
| `Step:ModeKeys.TRAIN`, `….EVAL`  | a step without waiting for its data; `step_num`             |
| `Forward`, `Backward(post-forward)` | of a step                                               |
| `DataLoaderIter`                 | `DataLoaderIter::GetNext`: waiting for a batch             |
| `DataLoaderIterInitialize`       | a loader's start; `num_workers`, `pin_memory`              |
| `DataLoaderWorker`               | a worker process of a loader, first batch to last          |
| `cpu_functions`, `gpu_functions-dev:N` | operators of the steps that torch's profiler looked at |
| `HostToDevice`, `Optimizer`, `Evaluation`, `Checkpoint` | Clary's own                         |

Short steps that were recorded together, and neighbours in a job of more than 100,000 records, are
one event, which says in `steps` how many it is.
"""

from __future__ import annotations

import json
import marshal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from clary.formats.files import replacing, write_text
from clary.formats.timeline.entries import PHASES, Functions, Mode
from clary.formats.timeline.reader import Worker
from clary.profiler.coarse_steps import coarse_steps
from clary.profiler.profile import Host, Profile
from clary.profiler.recording.operator_trace import read_trace

MOST_SECONDS = 60
MOST_EVENTS = 60_000
"""A file of more would exceed SageMaker's ten megabytes."""

MOST_STEPS = 100_000
"""Neighbours of a longer job are added up: six events a step would fill gigabytes."""

_GET_NEXT = "DataLoaderIter::GetNext"
_NAMES = {
    "data": ("DataLoaderIter", _GET_NEXT),
    "transfer": ("HostToDevice", "HostToDevice"),
    "forward": ("Forward", "Forward"),
    "backward": ("Backward(post-forward)", "Backward"),
    "optimizer": ("Optimizer", "Optimizer"),
}
_WAITING = 2
"""How many phases a step of SageMaker's has not begun with: data and transfer."""
_SPAN_PHASES = {
    "evaluation": "Evaluation",
    "checkpoint": "Checkpoint",
    "initialization": "Initialization",
    "features": "Features",
}


class FrameworkEvent(NamedTuple):
    """Something that took its time, in microseconds since 1970; `facts` as the table says."""

    end_us: int
    start_us: int
    phase: str
    name: str
    facts: dict[str, Any]


@dataclass(frozen=True)
class _Place:
    """Where a worker's files go, and who it is."""

    folder: Path
    pid: int
    node: str

    @property
    def who(self) -> str:
        return f"{self.pid}-{self.node}"


def write_framework_events(profile: Profile, folder: Path) -> tuple[Path, ...]:
    """Write the steps, loaders, operators and functions of all processes that trained.

    Args:
        profile: as it stands at the job's end.
        folder: gets `framework`, such as the job's `profiler-output`.

    Returns:
        The files.

    Raises:
        FormatError: a trace of operators is damaged.
        StorageError: the folder cannot be written.
    """
    return tuple(
        path
        for host in profile.hosts
        for number, worker in enumerate(host.workers.values())
        for path in _write_worker(host, worker, number, folder)
    )


def framework_events(worker: Worker, number: int = 0) -> list[FrameworkEvent]:
    """What one process that trained did, in the order in which it ended.

    Args:
        worker: as it stands.
        number: which one of its host's, which stands for its process where that is not known.

    Raises:
        FormatError: a trace of operators is damaged.
    """
    pid = _pid(worker, number)
    return sorted(
        (*_steps(worker, pid), *_loaders(worker, pid), *_spans(worker, pid), *_operators(worker)),
        key=lambda one: one.end_us,
    )


def _pid(worker: Worker, number: int) -> int:
    return number if worker.facts is None else worker.facts.pid


def _write_worker(host: Host, worker: Worker, number: int, folder: Path) -> Iterator[Path]:
    place = _Place(folder, _pid(worker, number), host.name)
    events = framework_events(worker, number)
    first = 0
    for index, event in enumerate(events):
        last = index + 1 == len(events)
        full = index + 1 - first >= MOST_EVENTS
        if last or full or _minute(events[index + 1].end_us) != _minute(event.end_us):
            yield _write_events(events[first : index + 1], place)
            first = index + 1
    for functions in worker.functions:
        yield _write_functions(functions, place)


def _minute(moment_us: int) -> int:
    return moment_us // (MOST_SECONDS * 1_000_000)


def _write_events(events: list[FrameworkEvent], place: _Place) -> Path:
    begin_us = min(one.start_us for one in events)
    phases = {name: number for number, name in enumerate(dict.fromkeys(e.phase for e in events))}
    rows: list[dict[str, Any]] = []
    for name, number in phases.items():
        facts = {"name": name, "start_time_since_epoch_in_micros": begin_us}
        rows.append({"name": "process_name", "ph": "M", "pid": number, "args": facts})
        order = {"sort_index": number}
        rows.append({"name": "process_sort_index", "ph": "M", "pid": number, "args": order})
    rows += [
        {
            "name": one.name,
            "pid": phases[one.phase],
            "ph": "X",
            "ts": one.start_us - begin_us,
            "dur": one.end_us - one.start_us,
            "args": one.facts,
        }
        for one in events
    ]
    end_us = events[-1].end_us
    hour = time.strftime("%Y%m%d%H", time.gmtime(end_us // 1_000_000))
    name = f"{end_us}_{place.who}_pythontimeline.json"
    path = place.folder / "framework" / "pevents" / hour / name
    write_text(path, "[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]")
    return path


def _steps(worker: Worker, pid: int) -> Iterator[FrameworkEvent]:
    for record in coarse_steps(worker.steps(), MOST_STEPS):
        mode = Mode(int(record["mode"]))
        facts: dict[str, Any] = {"pid": pid, "step_num": str(int(record["step"]))}
        if record["merged"] > 1:
            facts["steps"] = int(record["merged"])
        begin_us = float(record["start_us"])
        end_us = begin_us + float(record["seconds"]) * 1e6
        moment_us = begin_us
        seconds = record["phases_s"].tolist()
        for number, (phase, length_s) in enumerate(zip(PHASES, seconds, strict=True)):
            if number == _WAITING:
                begin_us = moment_us
            if length_s > 0:  # NaN is not measured
                after_us = min(end_us, moment_us + length_s * 1e6)
                outer, name = _NAMES[phase]
                more = {"worker_id": -1} if name == _GET_NEXT else {}
                yield _event(outer, name, moment_us, after_us, {**facts, **more})
                moment_us = after_us
        name = f"Step:ModeKeys.{mode.name}"
        # Where no phase was measured, a step ends where the next one begins.
        yield _event(name, name, begin_us, moment_us if moment_us > begin_us else end_us, facts)


def _loaders(worker: Worker, pid: int) -> Iterator[FrameworkEvent]:
    loads = worker.loads()
    for number in sorted(set(loads["worker"].tolist())):
        if number < 0:
            continue
        own = loads[loads["worker"] == number]
        ends = own["start_us"] + own["seconds"].astype(float) * 1e6
        facts = {"pid": pid, "worker_id": number, "batches": len(own)}
        begin_us = float(own["start_us"].min())
        yield _event("DataLoaderWorker", "DataLoaderWorker", begin_us, float(ends.max()), facts)


def _spans(worker: Worker, pid: int) -> Iterator[FrameworkEvent]:
    loading = None if worker.facts is None else worker.facts.train_loading
    for span in worker.spans:
        facts: dict[str, Any] = {"pid": pid}
        if span.kind == "loader_start":
            workers = loading.workers if loading is not None and loading.workers else 0
            facts["num_workers"] = workers
            facts["pin_memory"] = bool(loading is not None and loading.pin_memory)
            kind = "_MultiProcessing" if workers else "_SingleProcess"
            phase, name = "DataLoaderIterInitialize", f"{kind}DataLoaderIter.__init__"
        elif span.kind in _SPAN_PHASES:
            phase = _SPAN_PHASES[span.kind]
            name = span.label or phase
        else:
            continue
        yield _event(phase, name, span.start_us, max(span.start_us, span.end_us), facts)


def _operators(worker: Worker) -> Iterator[FrameworkEvent]:
    for window in worker.operators:
        path = worker.folder / (window.trace or "")
        if window.trace is None or not path.is_file():
            continue
        own = worker.steps(window.mode)
        for event in read_trace(path, window.start_us):
            if event.get("ph") != "X":
                continue
            kind = event.get("cat")
            # Those before the first step were looked at for it.
            place = int(np.searchsorted(own["start_us"], event["ts"], side="right")) - 1
            step = int(own["step"][place]) if place >= 0 else window.first
            facts: dict[str, Any] = {"step_num": str(max(window.first, min(window.last, step)))}
            if kind == "cpu_op":
                phase = "cpu_functions"
                facts |= {"tid": event.get("tid"), "device": "cpu"}
            elif kind in {"kernel", "gpu_memcpy", "gpu_memset"}:
                device = event.get("args", {}).get("device", event.get("pid"))
                phase = f"gpu_functions-dev:{device}"
                facts |= {"tid": event.get("tid"), "device": device}
            else:
                continue
            end_us = event["ts"] + event.get("dur", 0)
            yield _event(phase, str(event.get("name")), event["ts"], end_us, facts)


def _event(
    phase: str, name: str, start_us: float, end_us: float, facts: dict[str, Any]
) -> FrameworkEvent:
    return FrameworkEvent(round(end_us), round(start_us), phase, name, facts)


def _write_functions(functions: Functions, place: _Place) -> Path:
    """As `cProfile` dumps them: calls, calls without recursion, own and total seconds, callers."""
    statistics: dict[Any, tuple[Any, ...]] = {
        (one.file, one.line, one.name): (one.calls, one.calls, one.self_s, one.total_s, {})
        for one in functions.functions
    }
    mode = functions.mode.name.lower()
    end_us = functions.start_us + round(functions.seconds * 1e6)
    between = (
        f"{mode}-{functions.first}-stepstart-{functions.start_us}_"
        f"{mode}-{functions.last}-stepend-{end_us}"
    )
    folder = place.folder / "framework" / "pytorch" / "cprofile" / place.who / between
    with replacing(folder / "python_stats") as temporary:
        temporary.write_bytes(marshal.dumps(statistics))
    return folder / "python_stats"
