"""Framework metrics: the steps of a training, their phases, and what its loaders did."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from clary.errors import FormatError
from clary.formats.timeline.reader import Timeline

from ..core.logger import get_logger
from .conversions import TimeUnits
from .metrics_reader_base import MetricsReaderBase
from .place import checked_s3
from .timeline_events import KIND, events_of
from .trace_event_file_parser import TraceEvent, is_trace_file, read_trace_file


class AlgorithmMetricsReader(MetricsReaderBase[TraceEvent]):
    """Reads Clary's `timeline`, or SageMaker's `framework` where there is none."""

    def __init__(
        self, path: str | os.PathLike[str], use_in_memory_cache: bool = False, **more: Any
    ) -> None:
        self._timeline: Timeline | None = None
        self._traces: dict[Path, tuple[int, list[TraceEvent]]] = {}
        self._all: list[TraceEvent] = []
        self._latest = 0
        super().__init__(path, use_in_memory_cache, **more)

    def get_timestamp_of_first_available_file(self) -> int:
        """When the first of all began, in microseconds; 0 while there is nothing."""
        return self._all[0].start_time if self._all else 0

    def get_timestamp_of_latest_available_file(self) -> int:
        """When the last of all ended, in microseconds; 0 while there is nothing."""
        return self._latest

    def get_events_by_step(
        self,
        start_step: int,
        end_step: int,
        event_type: str | None = None,
        file_suffix_filter: Sequence[str] | None = None,
    ) -> list[TraceEvent]:
        """What was from the beginning of a step up to that of another one.

        Args:
            start_step: the first, as the training counts them.
            end_step: the one that is not meant any more.
            event_type: taken as AWS takes it; framework metrics have none.
            file_suffix_filter: such as `["pythontimeline.json"]`.

        Raises:
            SMDebugRuntimeError: S3 refuses, or its copy cannot be written.
        """
        begin, end = self._get_time_interval_for_step(start_step, end_step)
        return self.get_events(begin, end, TimeUnits.MICROSECONDS, event_type, file_suffix_filter)

    def _get_time_interval_for_step(self, start_step: int, end_step: int) -> tuple[int, int]:
        """In microseconds; (0, 0) where there is no such step. Merged timelines ask for it."""
        self.refresh_event_file_list()
        steps = [one for one in self._all if one.event_name.startswith("Step")]
        # A training's steps, unless it has no mode: an evaluation counts its own.
        steps = [one for one in steps if "EVAL" not in one.event_name] or steps
        from_first = [one for one in steps if one.step + one.steps > start_step]
        inside = [one for one in from_first if one.step < end_step]
        if not inside:
            get_logger().info(
                "no steps from %d to %d: the last one is %d",
                start_step,
                end_step,
                max((one.step + one.steps - 1 for one in steps), default=-1),
            )
            return 0, 0
        behind = [one.start_time for one in from_first if one.step >= end_step]
        return inside[0].start_time, min(behind) - 1 if behind else self._latest

    def _folders(self) -> tuple[str, ...]:
        return ("timeline", "framework")

    def _read(self) -> None:
        if self._timeline is None:
            self._timeline = Timeline(self._place.folder)
        try:
            new = self._timeline.refresh()
        except FormatError as error:
            get_logger().error("%s", error)
            new = False
        workers = self._timeline.workers.values()
        if workers:
            if new:
                self._take([one for n, w in enumerate(workers) for one in events_of(w, n)])
        elif self._read_traces():
            self._take([one for _, events in self._traces.values() for one in events])

    def _read_traces(self) -> bool:
        new = False
        for path in (self._place.folder / "framework").rglob("*.json"):
            size = path.stat().st_size
            if is_trace_file(path) and self._traces.get(path, (-1, []))[0] != size:
                self._traces[path] = (size, read_trace_file(path))
                new = True
        return new

    def _take(self, events: list[TraceEvent]) -> None:
        self._all = sorted(events, key=lambda one: one.start_time)
        self._latest = max((one.end_time for one in events), default=0)

    def _events(
        self, begin: int, end: int, event_type: str | None, suffixes: Sequence[str] | None
    ) -> list[TraceEvent]:
        return [
            one
            for one in self._all
            if one.start_time <= end
            and begin <= one.end_time
            and (suffixes is None or _kind_is_among(one.file_type or KIND, suffixes))
        ]


class LocalAlgorithmMetricsReader(AlgorithmMetricsReader):
    """Of a folder."""

    def __init__(
        self, trace_root_folder: str | os.PathLike[str], use_in_memory_cache: bool = False
    ) -> None:
        super().__init__(trace_root_folder, use_in_memory_cache)


class S3AlgorithmMetricsReader(AlgorithmMetricsReader):
    """Of a place on S3."""

    def __init__(
        self, s3_trial_path: str, use_in_memory_cache: bool = False, *, client: Any = None
    ) -> None:
        super().__init__(checked_s3(s3_trial_path), use_in_memory_cache, client=client)


def _kind_is_among(kind: str, suffixes: Sequence[str]) -> bool:
    return any(f"{kind}.json".endswith(suffix) for suffix in suffixes)
