"""Files of what a framework did: Chrome traces, as SageMaker's profiler writes them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..core.logger import get_logger

# In which order phases are shown.
_ORDER = ("Step:", "DataLoaderIter", "HostToDevice", "Forward", "Backward", "Optimizer")
# <end, microseconds since 1970>_<node>_<kind>.json
_FILE = re.compile(r"(?P<end>\d+)_(?P<node>.+?)_(?P<kind>[a-z]+(_timeline)?)\.json$")
_PID_FIRST = re.compile(r"(.*)-(algo.*)")
_START = "start_time_since_epoch_in_micros"


class TraceEvent:
    """Something that took its time: a step, a phase, a batch.

    Times are in microseconds since 1970, `duration` in microseconds. `event_phase` is what it
    belongs to, such as `Step:ModeKeys.TRAIN` or `Forward`; `event_args` may hold `step_num` (a
    text), `worker_id`, and `steps`, where one event stands for several short steps.
    """

    __slots__ = (
        "duration",
        "end_time",
        "event_args",
        "event_name",
        "event_phase",
        "file_type",
        "node_id",
        "phase",
        "phase_pid",
        "phase_tid",
        "pid",
        "process_info",
        "start_time",
        "tid",
    )

    def __init__(
        self,
        ts: int,
        name: str,
        dur: int,
        *,
        phase_pid: int = 0,
        phase_tid: int = 0,
        event_args: dict[str, Any] | None = None,
        node_id: str = "",
        phase: str = "X",
        file_type: str = "",
        event_phase: str = "",
        pid: int = 0,
        tid: int = 0,
        process_info: Any = None,
    ) -> None:
        self.start_time = ts
        self.event_name = name
        self.duration = dur
        self.end_time = ts + dur
        self.phase_pid = phase_pid
        self.phase_tid = phase_tid
        self.event_args = event_args
        self.node_id = node_id
        self.phase = phase
        self.file_type = file_type
        self.event_phase = event_phase
        self.pid = pid
        self.tid = tid
        self.process_info = process_info

    def __repr__(self) -> str:
        return (
            f"TraceEvent({self.event_name!r}, {self.start_time}, {self.duration} µs, "
            f"phase={self.event_phase!r}, args={self.event_args!r}, node={self.node_id!r})"
        )

    @property
    def step(self) -> int:
        """The step that it belongs to, or the first of several; -1 for none."""
        return int((self.event_args or {}).get("step_num", -1))

    @property
    def steps(self) -> int:
        """For how many steps it stands."""
        return int((self.event_args or {}).get("steps", 1))

    def to_json(self) -> str:
        """As it stands in a Chrome trace."""
        held: dict[str, Any] = {
            "name": self.event_name,
            "pid": self.pid,
            "tid": self.tid,
            "ph": self.phase,
            "ts": self.start_time,
        }
        if self.phase == "X":
            held["dur"] = self.duration
        if self.event_args:
            held["args"] = self.event_args
        return json.dumps(held)


def phase_rank(phase: str) -> tuple[int, str]:
    """A key to sort phases by: a step, its parts, all else."""
    places = [place for place, word in enumerate(_ORDER) if phase.startswith(word)]
    return (places[0] if places else len(_ORDER), phase)


def is_trace_file(path: Path) -> bool:
    """Whether a file is named as the profiler's traces are."""
    return _FILE.search(path.name) is not None


def read_trace_file(path: Path) -> list[TraceEvent]:
    """The events of one file of `framework/pevents`; none of one that is damaged, which is said."""
    named = _FILE.search(path.name)
    if named is None:
        return []
    reader = _Reader(_node(named["node"]), named["kind"])
    try:
        content = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        get_logger().error("%s is passed over: it is no JSON (%s)", path, error)
        return []
    try:
        for held in content if isinstance(content, list) else content.get("traceEvents", ()):
            reader.take(held)
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
        told = f"{type(error).__name__}: {error}"
        get_logger().error("%s is passed over: it holds what is no event (%s)", path, told)
        return []
    return reader.events


def _node(name: str) -> str:
    """`algo-1-4487` of `4487-algo-1`, so that nodes are together when they are sorted."""
    parts = _PID_FIRST.fullmatch(name)
    return f"{parts[2]}-{parts[1]}" if parts else name


class _Reader:
    def __init__(self, node: str, kind: str) -> None:
        self.events: list[TraceEvent] = []
        self._node = node
        self._kind = kind
        self._start = 0
        self._phases: dict[Any, str] = {}
        self._open: dict[Any, list[Mapping[str, Any]]] = {}

    def take(self, held: Mapping[str, Any]) -> None:
        kind = held.get("ph")
        if kind == "M":
            args = held.get("args") or {}
            self._start = int(args.get(_START, self._start))
            if held.get("name") == "process_name" and "name" in args:
                self._phases[held.get("pid")] = str(args["name"])
        elif kind == "X":
            self._add(held, int(held["ts"]), int(held.get("dur", 0)), held.get("args"))
        elif kind == "B":
            self._open.setdefault(held.get("pid"), []).append(held)
        elif kind == "E" and self._open.get(held.get("pid")):
            begun = self._open[held.get("pid")].pop()
            begin = int(begun["ts"])
            self._add(begun, begin, max(0, int(held["ts"]) - begin), held.get("args"))

    def _add(self, held: Mapping[str, Any], ts: int, duration: int, args: Any) -> None:
        args = args if isinstance(args, dict) else None
        place = held.get("pid", 0)
        event = TraceEvent(
            self._start + ts,
            str(held.get("name", "")),
            duration,
            phase_pid=place,
            phase_tid=held.get("tid", 0),
            event_args=args,
            node_id=self._node,
            file_type=self._kind,
            event_phase=self._phases.get(place, "Unknown"),
            pid=(args or {}).get("pid", place),
            tid=(args or {}).get("thread_id", held.get("tid", 0)),
        )
        # Here, where the file can be named: they are computed when they are asked for.
        _ = event.step, event.steps
        self.events.append(event)
