"""System metrics: what the machines of a job did."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .metrics_reader_base import MetricsReaderBase
from .place import checked_s3
from .system_profiler_file_parser import ProfilerSystemEvent, SystemMetricsFile

# <minute, seconds since 1970>.<node>.json
_FILE = re.compile(r"(\d{10})\.(.+)\.json")


class SystemMetricsReader(MetricsReaderBase[ProfilerSystemEvent]):
    """Reads `system` of a `profiler-output`."""

    def __init__(
        self, path: str | os.PathLike[str], use_in_memory_cache: bool = False, **more: Any
    ) -> None:
        self._files: dict[Path, SystemMetricsFile] = {}
        self._minutes: dict[Path, int] = {}
        super().__init__(path, use_in_memory_cache, **more)

    def get_timestamp_of_first_available_file(self) -> int:
        """The minute in which the first metrics were measured, in microseconds; 0 for none."""
        return min(self._minutes.values(), default=0) * 1_000_000

    def get_timestamp_of_latest_available_file(self) -> int:
        """When the latest metrics were measured, in microseconds; 0 while there are none.

        The original gives the beginning of that minute, and leaves out what came in it.
        """
        latest = max(self._minutes.values(), default=0)
        moments = [
            one.timestamp
            for path, minute in self._minutes.items()
            if minute == latest
            for one in self._files[path].events[-1:]
        ]
        return round(max(moments, default=0) * 1_000_000)

    def _folders(self) -> tuple[str, ...]:
        return ("system",)

    def _read(self) -> None:
        for path in (self._place.folder / "system").rglob("*.json"):
            named = _FILE.fullmatch(path.name)
            if named is not None:
                self._files.setdefault(path, SystemMetricsFile(path)).refresh()
                if self._files[path].events:
                    self._minutes[path] = int(named[1])

    def _events(
        self, begin: int, end: int, event_type: str | None, suffixes: Sequence[str] | None
    ) -> list[ProfilerSystemEvent]:
        found = [
            one
            for path in self._minutes
            for one in self._files[path].events
            if begin <= round(one.timestamp * 1_000_000) <= end
            and (event_type is None or one.type == event_type)
            and (suffixes is None or path.name.endswith(tuple(suffixes)))
        ]
        found.sort(key=lambda one: one.timestamp)
        return found


class LocalSystemMetricsReader(SystemMetricsReader):
    """Of a folder."""

    def __init__(
        self, trace_root_folder: str | os.PathLike[str], use_in_memory_cache: bool = False
    ) -> None:
        super().__init__(trace_root_folder, use_in_memory_cache)


class S3SystemMetricsReader(SystemMetricsReader):
    """Of a place on S3."""

    def __init__(
        self, s3_trial_path: str, use_in_memory_cache: bool = False, *, client: Any = None
    ) -> None:
        super().__init__(checked_s3(s3_trial_path), use_in_memory_cache, client=client)


def __getattr__(name: str) -> Any:
    if name == "S3NumpySystemMetricsReader":
        raise ImportError(
            "S3NumpySystemMetricsReader is not offered: S3SystemMetricsReader gives events, and "
            "PandasFrame a table"
        )
    raise AttributeError(f"smdebug.profiler.system_metrics_reader has no {name}")
