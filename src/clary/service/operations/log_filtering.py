"""CloudWatch Logs: events of several streams that match a pattern, by time."""

from __future__ import annotations

import heapq
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple

from clary.formats.log_file import LogEvent, read_events
from clary.service.call import Call
from clary.service.faults import log_resource_not_found
from clary.service.office import Handler, Office
from clary.service.operations.log_events import EVENT_OVERHEAD_BYTES, PAGE_BYTES, PAGE_EVENTS, shown
from clary.service.operations.logs import group_of, invalid
from clary.service.operations.pages import read_token, write_token
from clary.service.state.log_streams import LogStream

_TERM = re.compile(r'(?P<sign>[?-]?)(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<word>[^\s"]+))(?=\s|$)\s*')


@dataclass(frozen=True)
class Pattern:
    """A filter pattern of terms: `all_of` must be there, `none_of` not, one of `any_of` if any."""

    all_of: tuple[str, ...] = ()
    any_of: tuple[str, ...] = ()
    none_of: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Pattern:
        """Read words, "quoted phrases", ?alternatives and -exclusions.

        Raises:
            ValueError: it is a pattern over JSON, columns or a regular expression, or no pattern.
        """
        text = text.strip()
        if text[:1] in {"{", "[", "%"}:
            raise ValueError(
                f"{text!r} filters JSON, columns or by a regular expression: words, quoted "
                "phrases, ?alternatives and -exclusions are offered"
            )
        terms: dict[str, list[str]] = {"": [], "?": [], "-": []}
        at = 0
        while at < len(text):
            match = _TERM.match(text, at)
            if match is None:
                raise ValueError(f"{text!r} has a quotation mark without its other half")
            quoted = match["quoted"]
            term = match["word"] if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
            terms[match["sign"]].append(term)
            at = match.end()
        return cls(tuple(terms[""]), tuple(terms["?"]), tuple(terms["-"]))

    def matches(self, message: str) -> bool:
        """Whether a message has the terms; upper and lower case differ."""
        return (
            all(term in message for term in self.all_of)
            and not any(term in message for term in self.none_of)
            and (not self.any_of or any(term in message for term in self.any_of))
        )


class _Found(NamedTuple):
    """An event and its place: no earlier than what stands before it in its stream."""

    sorted_ms: int
    stream: str
    offset: int
    event: LogEvent

    @property
    def place(self) -> tuple[int, str, int]:
        return self.sorted_ms, self.stream, self.offset


def filter_log_events(office: Office, call: Call) -> Mapping[str, Any]:
    """Show a page of the events that match."""
    asked = call.parameters
    try:
        pattern = Pattern.parse(asked.get("filterPattern", ""))
    except ValueError as error:
        raise invalid(f"Invalid filter pattern: {error}.") from error
    if not asked.get("startFromHead", True):
        raise invalid("startFromHead false is not offered by Clary: the earliest come first.")
    last = _last_place(asked.get("nextToken"))
    limit = asked.get("limit", PAGE_EVENTS)
    start_ms, end_ms = asked.get("startTime", 0), asked.get("endTime")
    matching = (
        found
        for found in heapq.merge(*map(_events, _streams(office, call)), key=lambda one: one.place)
        if found.event.timestamp_ms >= start_ms
        and (end_ms is None or found.event.timestamp_ms < end_ms)
        and (last is None or found.place > last)
        and pattern.matches(found.event.message)
    )
    page = _page(matching, limit)
    answer: dict[str, Any] = {
        "events": [
            {
                "logStreamName": found.stream,
                **shown(found.event),
                "eventId": f"{found.sorted_ms}-{found.stream}-{found.offset}",
            }
            for found in page
        ],
        "searchedLogStreams": [],
    }
    if next(matching, None) is not None and page:
        answer["nextToken"] = write_token(page[-1].place)
    return answer


def _page(matching: Iterator[_Found], limit: int) -> list[_Found]:
    chosen: list[_Found] = []
    room = PAGE_BYTES
    for found in islice(matching, limit):
        chosen.append(found)
        room -= len(found.event.message.encode()) + EVENT_OVERHEAD_BYTES
        if room < 0:
            break
    return chosen


def _streams(office: Office, call: Call) -> list[LogStream]:
    asked = call.parameters
    group = group_of(call)
    if not office.state.logs.has_group(group):
        raise log_resource_not_found("log group")
    names, prefix = asked.get("logStreamNames"), asked.get("logStreamNamePrefix", "")
    if names is not None and prefix:
        raise invalid("logStreamNames and logStreamNamePrefix are mutually exclusive.")
    streams = office.state.logs.streams(group, prefix)
    if names is None:
        return streams
    known = {stream.name: stream for stream in streams}
    if not set(names) <= set(known):
        raise log_resource_not_found("log stream")
    return [known[name] for name in names]


def _events(stream: LogStream) -> Iterator[_Found]:
    offset = newest_ms = 0
    while events := read_events(stream.path, offset):
        for event in events:
            newest_ms = max(newest_ms, event.timestamp_ms)
            yield _Found(newest_ms, stream.name, event.offset, event)
        offset = events[-1].end


def _last_place(token: str | None) -> tuple[int, str, int] | None:
    if token is None:
        return None
    try:
        sorted_ms, stream, offset = read_token(token)
        return int(sorted_ms), str(stream), int(offset)
    except (TypeError, ValueError) as error:
        raise invalid("The specified nextToken is invalid.") from error


OPERATIONS: dict[str, Handler] = {"FilterLogEvents": filter_log_events}
