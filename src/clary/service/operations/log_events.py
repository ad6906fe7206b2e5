"""CloudWatch Logs: reading the events of one stream, forward and backward."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from clary.formats.log_file import LogEvent, read_events, read_events_before, seek_time
from clary.service.call import Call
from clary.service.office import Handler, Office
from clary.service.operations.logs import invalid, is_own, stream_of
from clary.service.state.log_streams import LogStream

# A page is at most 10,000 events or 1 MB of text and 26 bytes an event.
PAGE_EVENTS = 10_000
PAGE_BYTES = 1 << 20
EVENT_OVERHEAD_BYTES = 26

# The place of a token is a byte offset: the end of the last event that was given, forward, or
# the begin of the first one, backward.
_TOKEN = re.compile(r"(?P<direction>[fb])/(?P<offset>\d{1,18})/s")


def get_log_events(office: Office, call: Call) -> Mapping[str, Any]:
    """Show a page of a stream; the same token again once its end is reached."""
    stream = stream_of(office, call)
    asked = call.parameters
    limit = asked.get("limit", PAGE_EVENTS)
    token = asked.get("nextToken")
    if token is None:
        forward, offset = bool(asked.get("startFromHead")), None
    else:
        match = _TOKEN.fullmatch(token)
        if match is None:
            raise invalid("The specified nextToken is invalid.")
        forward, offset = match["direction"] == "f", int(match["offset"])
    reading = _Reading(
        stream,
        asked.get("startTime", 0),
        asked.get("endTime"),
        # Clients may put events in any order of time; what jobs print is in order.
        in_order=not is_own(office, stream),
    )
    if forward:
        events, begin, end = reading.forward(offset or 0, limit)
    else:
        events, begin, end = reading.backward(offset, limit)
    return {
        "events": [shown(event) for event in events],
        "nextForwardToken": f"f/{end}/s",
        "nextBackwardToken": f"b/{begin}/s",
    }


def shown(event: LogEvent) -> dict[str, Any]:
    """An event as it is answered. It was taken in when it was written."""
    return {
        "timestamp": event.timestamp_ms,
        "message": event.message,
        "ingestionTime": event.timestamp_ms,
    }


class _Reading:
    """The events of a stream with start <= time < end, by pages."""

    def __init__(
        self, stream: LogStream, start_ms: int, end_ms: int | None, *, in_order: bool
    ) -> None:
        self._path = stream.path
        self._start_ms = start_ms
        self._end_ms = end_ms
        self._in_order = in_order

    def forward(self, offset: int, limit: int) -> tuple[list[LogEvent], int, int]:
        chosen: list[LogEvent] = []
        if not offset and self._start_ms and self._in_order:
            offset = seek_time(self._path, self._start_ms)
        begin, end, room = offset, offset, PAGE_BYTES
        while len(chosen) < limit:
            block = read_events(self._path, end)
            for event in block:
                if self._wanted(event):
                    room -= _size(event)
                    if chosen and (room < 0 or len(chosen) == limit):
                        return chosen, chosen[0].offset, end
                    chosen.append(event)
                end = event.end
            if not block:
                break
        return chosen, chosen[0].offset if chosen else begin, end

    def backward(self, offset: int | None, limit: int) -> tuple[list[LogEvent], int, int]:
        chosen: list[LogEvent] = []
        begin, room = offset, PAGE_BYTES
        while len(chosen) < limit:
            block = read_events_before(self._path, begin, PAGE_EVENTS)
            for event in reversed(block):
                if self._wanted(event):
                    room -= _size(event)
                    if chosen and (room < 0 or len(chosen) == limit):
                        return _turned(chosen, begin)
                    chosen.append(event)
                begin = event.offset
            if not block:
                break
        return _turned(chosen, begin)

    def _wanted(self, event: LogEvent) -> bool:
        return self._start_ms <= event.timestamp_ms and (
            self._end_ms is None or event.timestamp_ms < self._end_ms
        )


def _turned(found: Sequence[LogEvent], begin: int | None) -> tuple[list[LogEvent], int, int]:
    chosen = list(reversed(found))
    if not chosen:
        return [], begin or 0, begin or 0
    return chosen, chosen[0].offset if begin is None else begin, chosen[-1].end


def _size(event: LogEvent) -> int:
    return len(event.message.encode()) + EVENT_OVERHEAD_BYTES


OPERATIONS: dict[str, Handler] = {"GetLogEvents": get_log_events}
