"""The log of one stream: lines with their time, appended while others read.

    1764757000123 Epoch 1 loss 0.31
    ^ milliseconds since 1970, one space, the text as UTF-8, a newline

A newline within a text stands there as a carriage return, a carriage return as a space.

One writer appends; any number of readers follow by byte offset, which is what CloudWatch's
tokens carry. A line that is being written has no newline yet and is not read. Format version 1;
see `docs/formats/log_file.md`.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

VERSION = 1
# CloudWatch Logs takes events of up to 256 KiB.
EVENT_LIMIT_BYTES = 256 * 1024
_BLOCK_BYTES = 1 << 16
_CHARACTER_BYTES = 4


class LogEvent(NamedTuple):
    """One line. `offset` is where it begins in the file, `end` where the next one does."""

    timestamp_ms: int
    message: str
    offset: int
    end: int


def encode_events(events: Iterable[tuple[int, str]]) -> bytes:
    """Lines as they stand in the file; a text beyond the limit becomes several events."""
    lines = []
    for timestamp_ms, message in events:
        text = message.replace("\r", " ").replace("\n", "\r").encode("utf-8", "replace")
        lines += [b"%d %s\n" % (timestamp_ms, piece) for piece in cut_text(text)]
    return b"".join(lines)


def cut_text(text: bytes) -> list[bytes]:
    """Pieces of at most an event's size, cut between characters.

    Args:
        text: UTF-8; what is none is cut anywhere.
    """
    pieces = []
    while len(text) > EVENT_LIMIT_BYTES:
        cut = EVENT_LIMIT_BYTES
        while cut > EVENT_LIMIT_BYTES - _CHARACTER_BYTES and text[cut] & 0xC0 == 0x80:
            cut -= 1
        pieces.append(text[:cut])
        text = text[cut:]
    return [*pieces, text]


def read_events(path: Path, offset: int = 0, limit: int = 10_000) -> list[LogEvent]:
    """Events from a byte offset on, at most `limit`; none when there is no file yet.

    Args:
        path: the log.
        offset: 0, or the `end` of an event.
        limit: at most so many.
    """
    try:
        with path.open("rb") as file:
            file.seek(offset)
            events: list[LogEvent] = []
            for line in file:
                if len(events) == limit or not line.endswith(b"\n"):
                    break
                events.append(_event(line, offset))
                offset += len(line)
            return events
    except FileNotFoundError:
        return []


def read_events_before(path: Path, end: int | None = None, limit: int = 10_000) -> list[LogEvent]:
    """The last events that end at or before a byte offset, at most `limit`, oldest first.

    Args:
        path: the log.
        end: None for the end of the file.
        limit: at most so many.
    """
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            end = size if end is None else min(end, size)
            begin, block = end, b""
            while begin > 0 and block.count(b"\n") <= limit:
                step = min(_BLOCK_BYTES, begin)
                begin -= step
                file.seek(begin)
                block = file.read(step) + block
    except FileNotFoundError:
        return []
    if begin > 0:  # the first line of the block may be cut
        cut = block.index(b"\n") + 1
        begin, block = begin + cut, block[cut:]
    events = []
    for line in io.BytesIO(block):
        if line.endswith(b"\n"):
            events.append(_event(line, begin))
        begin += len(line)
    return events[-limit:] if limit else []


def seek_time(path: Path, timestamp_ms: int) -> int:
    """A byte offset before which no event is as late as `timestamp_ms`, found without reading all.

    For logs whose times never go back, as those of jobs; it stays a block short of the place, so
    that a clock that was set back a little loses nothing.

    Args:
        path: the log.
        timestamp_ms: milliseconds since 1970.
    """
    try:
        with path.open("rb") as file:
            low, high = 0, file.seek(0, os.SEEK_END)
            while high - low > _BLOCK_BYTES:
                middle = (low + high) // 2
                file.seek(middle)
                file.readline()
                begin = file.tell()
                line = file.readline()
                if begin < high and line and _event(line, begin).timestamp_ms < timestamp_ms:
                    low = begin
                else:
                    high = middle
            file.seek(max(0, low - _BLOCK_BYTES))
            if low > _BLOCK_BYTES:
                file.readline()
            return min(low, file.tell())
    except FileNotFoundError:
        return 0


def _event(line: bytes, offset: int) -> LogEvent:
    timestamp, _, text = line.rstrip(b"\n").partition(b" ")
    end = offset + len(line)
    if not timestamp.isdigit():  # a machine that went down may leave a torn line
        return LogEvent(0, line.decode("utf-8", "replace").rstrip("\n"), offset, end)
    message = text.decode("utf-8", "replace").replace("\r", "\n")
    return LogEvent(int(timestamp), message, offset, end)
