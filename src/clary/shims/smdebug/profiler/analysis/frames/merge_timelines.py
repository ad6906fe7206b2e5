"""What the training and its machine did, in one Chrome trace."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import Any

from ....exceptions import SMDebugValueError
from ...algorithm_metrics_reader import AlgorithmMetricsReader
from ...profiler_constants import MERGEDTIMELINE_SUFFIX
from ...system_metrics_reader import SystemMetricsReader
from ...trace_event_file_parser import TraceEvent, phase_rank

_SYSTEM_PLACE = 1_000_000


class MergeUnit(Enum):
    """In what the ends of a merged timeline are given."""

    TIME = "time"
    STEP = "step"


class MergedTimeline:
    """Writes one trace that Perfetto and chrome://tracing open. One thread uses it."""

    def __init__(
        self,
        path: str | os.PathLike[str],
        file_suffix_filter: Sequence[str] | None = None,
        output_directory: str | os.PathLike[str] | None = None,
    ) -> None:
        """Read what there is.

        Args:
            path: a `profiler-output`: a folder, or `s3://bucket/prefix`.
            file_suffix_filter: such as `["pythontimeline.json"]`; None for all.
            output_directory: where the trace goes; None for a `path` that is a folder.

        Raises:
            SMDebugValueError: the path is on S3 and no folder is given.
            SMDebugRuntimeError: S3 refuses, or its copy cannot be written.
        """
        self.path = os.fspath(path)
        if output_directory is None and self.path.startswith("s3://"):
            raise SMDebugValueError(
                f"the timeline of {self.path} needs a folder of this machine: give output_directory"
            )
        self.out_dir = Path(output_directory if output_directory is not None else self.path)
        self.file_suffix_filter = file_suffix_filter
        self.framework_metrics_reader = AlgorithmMetricsReader(path)
        self.system_metrics_reader = SystemMetricsReader(path)

    def file_name(self, end_timestamp_in_us: int) -> str:
        """Where a trace up to a moment goes."""
        return str(self.out_dir / f"{end_timestamp_in_us}_{MERGEDTIMELINE_SUFFIX}")

    def merge_timeline(
        self,
        start: int,
        end: int,
        unit: MergeUnit | str = MergeUnit.TIME,
        sys_metrics_filter: Mapping[str, Any] | None = None,
    ) -> str:
        """Write the trace of a time, and say where.

        Args:
            start: in microseconds since 1970, or the first step.
            end: in microseconds since 1970, or the step that is not meant any more.
            unit: which of the two.
            sys_metrics_filter: `{}` for no metrics of the machine; anything else for all.

        Raises:
            OSError: the folder cannot be written.
        """
        reader = self.framework_metrics_reader
        if MergeUnit(unit) is MergeUnit.STEP:
            start, end = reader._get_time_interval_for_step(start, end)
        events = reader.get_events(start, end, file_suffix_filter=self.file_suffix_filter)
        entries = list(_entries(events))
        if sys_metrics_filter != {}:
            entries += self._counters(start, end)
        path = Path(self.file_name(end))
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", encoding="utf-8") as file:
            file.write("[\n" + ",\n".join(json.dumps(one) for one in entries) + "\n]\n")
        return str(path)

    def _counters(self, start: int, end: int) -> Iterator[dict[str, Any]]:
        yield _named(_SYSTEM_PLACE, "system metrics")
        for one in self.system_metrics_reader.get_events(start, end):
            yield {
                "name": f"{one.name} {one.dimension or one.type} {one.node_id}",
                "ph": "C",
                "pid": _SYSTEM_PLACE,
                "ts": round(one.timestamp * 1e6),
                "args": {"value": one.value},
            }


def _entries(events: Iterable[TraceEvent]) -> Iterator[dict[str, Any]]:
    """A process of the viewer for each phase, in which each host is a thread."""
    held = list(events)
    phases = sorted({one.event_phase for one in held}, key=phase_rank)
    nodes = sorted({one.node_id for one in held})
    for place, phase in enumerate(phases, 1):
        yield _named(place, phase)
        yield {
            "name": "process_sort_index",
            "ph": "M",
            "pid": place,
            "args": {"sort_index": place},
        }
        for thread, node in enumerate(nodes):
            yield {
                "name": "thread_name",
                "ph": "M",
                "pid": place,
                "tid": 1000 * thread,
                "args": {"name": node},
            }
    for one in held:
        yield {
            "name": one.event_name,
            "ph": "X",
            "pid": phases.index(one.event_phase) + 1,
            # Workers of a loader work at the same time.
            "tid": 1000 * nodes.index(one.node_id) + max(0, one.tid),
            "ts": one.start_time,
            "dur": one.duration,
            "args": one.event_args or {},
        }


def _named(place: int, name: str) -> dict[str, Any]:
    return {"name": "process_name", "ph": "M", "pid": place, "args": {"name": name}}
