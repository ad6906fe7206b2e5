"""What readers of metrics have in common: files that grow, and moments."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, Generic, TypeVar

from .conversions import TimeUnits, convert_utc_timestamp_to_microseconds
from .place import ProfilerPlace

_Event = TypeVar("_Event")


class MetricsReaderBase(Generic[_Event]):
    """Reads metrics of one kind, while their job runs too; one thread uses it.

    What has been read is kept: asking again reads what is new. Moments are in microseconds since
    1970 where nothing else is said.
    """

    def __init__(
        self, path: str | os.PathLike[str], use_in_memory_cache: bool = False, **more: Any
    ) -> None:
        """Read what is there.

        Args:
            path: a `profiler-output`: a folder, or `s3://bucket/prefix`.
            use_in_memory_cache: taken as AWS takes it; what was read is always kept.
            more: `client`, boto3's S3 client.

        Raises:
            SMDebugValueError: the path is no place.
            SMDebugRuntimeError: S3 refuses, or its copy cannot be written.
        """
        self._place = ProfilerPlace(path, *self._folders(), client=more.get("client"))
        self.refresh_event_file_list()

    def refresh_event_file_list(self) -> None:
        """Take in what is new.

        Raises:
            SMDebugRuntimeError: S3 refuses, or its copy cannot be written.
        """
        self._place.update()
        self._read()

    def get_timestamp_of_first_available_file(self) -> int:
        """Before everything that there is; 0 while there is nothing."""
        raise NotImplementedError

    def get_timestamp_of_latest_available_file(self) -> int:
        """Of the latest that there is, which `get_events` up to here includes; 0 for nothing."""
        raise NotImplementedError

    def get_current_time_range_for_event_query(self) -> tuple[int, int]:
        """From the first to the latest that there is; (0, 0) while there is nothing."""
        return (
            self.get_timestamp_of_first_available_file(),
            self.get_timestamp_of_latest_available_file(),
        )

    def get_events(
        self,
        start_time: float,
        end_time: float,
        unit: TimeUnits = TimeUnits.MICROSECONDS,
        event_type: str | None = None,
        file_suffix_filter: Sequence[str] | None = None,
    ) -> list[_Event]:
        """What was within a time, both ends included, in the order of its beginning.

        Args:
            start_time: since 1970.
            end_time: since 1970.
            unit: of both.
            event_type: of system metrics, such as `cpu`.
            file_suffix_filter: of steps and phases, such as `["pythontimeline.json"]`.

        Raises:
            SMDebugRuntimeError: S3 refuses, or its copy cannot be written.
        """
        begin = convert_utc_timestamp_to_microseconds(start_time, unit)
        end = convert_utc_timestamp_to_microseconds(end_time, unit)
        if end >= self.get_timestamp_of_latest_available_file():
            self.refresh_event_file_list()
        return self._events(begin, end, event_type, file_suffix_filter)

    def _folders(self) -> tuple[str, ...]:
        raise NotImplementedError

    def _read(self) -> None:
        raise NotImplementedError

    def _events(
        self, begin: int, end: int, event_type: str | None, suffixes: Sequence[str] | None
    ) -> list[_Event]:
        raise NotImplementedError
