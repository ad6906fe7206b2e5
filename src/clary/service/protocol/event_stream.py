"""Events as AWS streams them: `application/vnd.amazon.eventstream`.

A frame is its length, the length of its headers and the CRC-32 of these eight bytes, each four
bytes with the highest first; then the headers, the payload, and the CRC-32 of all before it. A
header is the length of its name in a byte, the name, the type of its value (7 is text), the
value's length in two bytes, and the value.
"""

from __future__ import annotations

import struct
import zlib

_TEXT = 7


def encode_event(event_type: str, content_type: str, payload: bytes) -> bytes:
    """One event as a frame."""
    headers = b"".join(
        _header(name, value)
        for name, value in (
            (":event-type", event_type),
            (":content-type", content_type),
            (":message-type", "event"),
        )
    )
    prelude = struct.pack("!II", len(headers) + len(payload) + 16, len(headers))
    prelude += struct.pack("!I", zlib.crc32(prelude))
    frame = prelude + headers + payload
    return frame + struct.pack("!I", zlib.crc32(frame))


def _header(name: str, value: str) -> bytes:
    named, valued = name.encode(), value.encode()
    return struct.pack("!B", len(named)) + named + struct.pack("!BH", _TEXT, len(valued)) + valued
