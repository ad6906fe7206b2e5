"""Metrics and events as pandas' tables."""

from __future__ import annotations

import os
import re
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from datetime import datetime, timezone
from typing import Any

from ...algorithm_metrics_reader import AlgorithmMetricsReader
from ...conversions import us_since_epoch_to_human_readable_time
from ...profiler_constants import PT_DATALOADER_WORKER
from ...system_metrics_reader import SystemMetricsReader
from ...trace_event_file_parser import TraceEvent
from ..libraries import library

_READABLE = "%Y-%m-%dT%H:%M:%S:%f"
_SYSTEM = ("timestamp", "timestamp_us", "value", "system_metric", "dimension", "nodeID", "type")
_FRAMEWORK = (
    "start_time",
    "end_time",
    "start_time_us",
    "end_time_us",
    "tid",
    "pid",
    "framework_metric",
    "step",
    "bytes",
    "process",
    "nodeID",
)
_LOADING = (
    "start_time",
    "end_time",
    "start_time_us",
    "end_time_us",
    "duration_us",
    "pid",
    "framework_metric",
    "step",
    "worker_id",
    "num_workers",
    "pin_memory",
    "process",
    "node_id",
)


class PandasFrame:
    """Tables of a job's metrics. One thread uses it.

    Columns in microseconds count from `start_time`, the minute in which the machine was first
    measured; those with a date are UTC. A row of a timeline that keeps several short steps as one
    record spans them all, and bears the number of the first.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        use_in_memory_cache: bool = False,
        scan_interval: int = 5_000_000_000,
    ) -> None:
        """Read what there is.

        Args:
            path: a `profiler-output`: a folder, or `s3://bucket/prefix`, such as
                `TrainingJob(name).profiler_s3_output_path`.
            use_in_memory_cache: taken as AWS takes it; what was read is always kept.
            scan_interval: taken as AWS takes it; everything is read at once.

        Raises:
            ImportError: there is no pandas.
            SMDebugRuntimeError: S3 refuses, or its copy cannot be written.
        """
        self._pandas = library("pandas", "tables")
        self.path = path
        self.interval = scan_interval
        self.system_metrics_reader = SystemMetricsReader(path, use_in_memory_cache)
        self.framework_metrics_reader = AlgorithmMetricsReader(path, use_in_memory_cache)
        self.system_metrics: list[Any] = []
        self.framework_metrics: list[Any] = []
        self.start_time = self.system_metrics_reader.get_timestamp_of_first_available_file()

    def get_all_system_metrics(self, selected_system_metrics: Sequence[str] = ()) -> Any:
        """All that the machines did.

        Args:
            selected_system_metrics: names, such as `["cpu0", "MemoryUsedPercent"]`; none for all.
        """
        self.system_metrics_reader.refresh_event_file_list()
        return self._system_table(self._system_rows(None, None, selected_system_metrics))

    def get_all_framework_metrics(self, selected_framework_metrics: Sequence[str] = ()) -> Any:
        """All that the training did.

        Args:
            selected_framework_metrics: names of events or phases, such as
                `["Step:ModeKeys.TRAIN"]`; none for all.
        """
        self.framework_metrics_reader.refresh_event_file_list()
        rows = self._framework_rows(None, None, selected_framework_metrics)
        return self._framework_table(rows)

    def get_all_dataloader_metrics(self, selected_framework_metrics: Sequence[str] = ()) -> Any:
        """What the loaders did.

        Args:
            selected_framework_metrics: regular expressions of names or phases, such as
                `[".*DataLoaderIter::GetNext"]`; none for all.
        """
        self.framework_metrics_reader.refresh_event_file_list()
        wanted = [re.compile(one) for one in selected_framework_metrics]
        rows = [
            self._loading_row(one)
            for one in self._framework_events(None, None)
            if not wanted
            or any(two.search(one.event_name) or two.search(one.event_phase) for two in wanted)
        ]
        return self._table(rows, _LOADING, "start_time_us", "end_time_us")

    def get_profiler_data_by_time(  # noqa: PLR0917 - AWS's arguments
        self,
        start_time_us: int,
        end_time_us: int,
        cache_metrics: bool = False,
        selected_framework_metrics: Sequence[str] = (),
        selected_system_metrics: Sequence[str] = (),
        get_framework_metrics: bool = True,
        get_system_metrics: bool = True,
    ) -> tuple[Any, Any]:
        """What machines and training did in a time: two tables.

        Args:
            start_time_us: in microseconds since 1970.
            end_time_us: in microseconds since 1970.
            cache_metrics: whether the tables hold what was asked for before, too.
            selected_framework_metrics: names of events or phases; none for all.
            selected_system_metrics: names; none for all.
            get_framework_metrics: whether the second table is filled.
            get_system_metrics: whether the first table is filled.
        """
        system: list[Any] = []
        framework: list[Any] = []
        if get_system_metrics:
            system = self._system_rows(start_time_us, end_time_us, selected_system_metrics)
        if get_framework_metrics:
            framework = self._framework_rows(start_time_us, end_time_us, selected_framework_metrics)
        if cache_metrics:
            self.system_metrics += system
            self.framework_metrics += framework
            system, framework = self.system_metrics, self.framework_metrics
        return self._system_table(system), self._framework_table(framework)

    def get_profiler_data_by_step(
        self, start_step: int, end_step: int, cache_metrics: bool = False
    ) -> tuple[Any, Any]:
        """What the training did from a step to another, and the machines meanwhile: two tables.

        Args:
            start_step: the first one.
            end_step: the last one.
            cache_metrics: taken as AWS takes it.
        """
        framework = self.get_all_framework_metrics()
        framework = framework[framework["step"].between(start_step, end_step)]
        system = self.get_all_system_metrics()
        begin, end = framework["start_time_us"].min(), framework["end_time_us"].max()
        return system[system["timestamp_us"].between(begin, end)], framework

    def get_framework_metrics_by_timesteps(
        self, timestep_list: Sequence[Any] = (), selected_framework_metrics: Sequence[str] = ()
    ) -> tuple[dict[str, float], dict[str, float], dict[str, float]]:
        """What the training was doing at some moments.

        Args:
            timestep_list: moments, as tables write them (`2024-12-08T05:48:39:508406`).
            selected_framework_metrics: names of events or phases; none for all.

        Returns:
            phases, as parts of the largest; events, in microseconds; steps by their mode, in
            microseconds. What takes its time at several of the moments counts at each; how
            long workers of loaders live counts nowhere.
        """
        moments = sorted(self.convert_datetime_to_timestamp(one) for one in timestep_list)
        phases: dict[str, float] = {}
        details: dict[str, float] = {}
        for one in self._framework_events(None, None, selected_framework_metrics):
            hits = bisect_left(moments, one.end_time) - bisect_left(moments, one.start_time + 1)
            if hits > 0 and one.event_phase != PT_DATALOADER_WORKER:
                _add(phases, one.event_phase, hits * one.duration)
                if "Step" not in one.event_name:
                    _add(details, one.event_name, hits * one.duration)
        steps = {name: value for name, value in phases.items() if "Step" in name}
        rest = {name: value for name, value in phases.items() if name not in steps}
        return _of_largest(rest), details, steps

    def get_framework_metrics_by_begin_and_end_timesteps(
        self,
        begin_timestep_list: Sequence[Any],
        end_timestep_list: Sequence[Any],
        selected_framework_metrics: Sequence[str] = (),
    ) -> tuple[dict[str, float], dict[str, float]]:
        """What the training did in some times.

        Args:
            begin_timestep_list: when they begin, as tables write moments.
            end_timestep_list: when they end.
            selected_framework_metrics: names of events or phases; none for all.

        Returns:
            phases and events, both as parts of the largest. What is in several of the times counts
            in each.
        """
        times = [
            (self.convert_datetime_to_timestamp(begin), self.convert_datetime_to_timestamp(end))
            for begin, end in zip(begin_timestep_list, end_timestep_list, strict=True)
        ]
        phases: dict[str, float] = {}
        details: dict[str, float] = {}
        for one in self._framework_events(None, None, selected_framework_metrics):
            hits = sum(begin <= one.end_time and one.start_time <= end for begin, end in times)
            if hits and "Step" not in one.event_name and one.event_phase != PT_DATALOADER_WORKER:
                _add(phases, one.event_phase, hits * one.duration)
                _add(details, one.event_name, hits * one.duration)
        return _of_largest(phases), _of_largest(details)

    def convert_datetime_to_timestamp(self, timestamp: Any) -> int:
        """A moment, as tables write it, in microseconds since 1970; UTC where it says nothing."""
        moment: datetime = (
            datetime.strptime(timestamp, _READABLE) if isinstance(timestamp, str) else timestamp
        )
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=timezone.utc)
        return round(moment.timestamp() * 1e6)

    def _system_rows(
        self, begin: int | None, end: int | None, names: Sequence[str]
    ) -> list[tuple[Any, ...]]:
        first, latest = self.system_metrics_reader.get_current_time_range_for_event_query()
        rows = []
        for one in self.system_metrics_reader.get_events(
            first if begin is None else begin, latest if end is None else end
        ):
            if not names or one.name in names:
                at = round(one.timestamp * 1e6)
                readable = us_since_epoch_to_human_readable_time(at)
                rows.append(
                    (readable, at, one.value, one.name, one.dimension, one.node_id, one.type)
                )
        return rows

    def _framework_events(
        self, begin: int | None, end: int | None, names: Sequence[str] = ()
    ) -> list[TraceEvent]:
        first, latest = self.framework_metrics_reader.get_current_time_range_for_event_query()
        return [
            one
            for one in self.framework_metrics_reader.get_events(
                first if begin is None else begin, latest if end is None else end
            )
            if not names or one.event_name in names or one.event_phase in names
        ]

    def _framework_rows(
        self, begin: int | None, end: int | None, names: Sequence[str]
    ) -> list[tuple[Any, ...]]:
        return [
            (
                us_since_epoch_to_human_readable_time(one.start_time),
                us_since_epoch_to_human_readable_time(one.end_time),
                one.start_time,
                one.end_time,
                one.tid,
                one.pid,
                _name(one),
                one.step,
                (one.event_args or {}).get("bytes_fetched", -1),
                one.event_phase,
                one.node_id,
            )
            for one in self._framework_events(begin, end, names)
        ]

    def _loading_row(self, one: TraceEvent) -> tuple[Any, ...]:
        args = one.event_args or {}
        return (
            us_since_epoch_to_human_readable_time(one.start_time),
            us_since_epoch_to_human_readable_time(one.end_time),
            one.start_time,
            one.end_time,
            one.duration,
            one.pid,
            _name(one),
            one.step,
            args.get("worker_id", -1),
            args.get("num_workers", -1),
            str(args["pin_memory"]) if "pin_memory" in args else "NA",
            one.event_phase,
            one.node_id,
        )

    def _system_table(self, rows: list[Any]) -> Any:
        return self._table(rows, _SYSTEM, "timestamp_us")

    def _framework_table(self, rows: list[Any]) -> Any:
        return self._table(rows, _FRAMEWORK, "start_time_us", "end_time_us")

    def _table(self, rows: Iterable[Any], columns: Sequence[str], *moments: str) -> Any:
        table = self._pandas.DataFrame(list(rows), columns=list(columns))
        for column in moments:
            table[column] = table[column].astype("int64") - self.start_time
        return table[~table.duplicated()]


def _name(one: TraceEvent) -> Any:
    args = one.event_args or {}
    return args.get("layer_name", args.get("name", one.event_name))


def _add(sums: dict[str, float], name: str, value: float) -> None:
    sums[name] = sums.get(name, 0.0) + value


def _of_largest(sums: dict[str, float]) -> dict[str, float]:
    largest = max(sums.values(), default=0.0) or 1.0
    return {name: value / largest for name, value in sums.items()}
