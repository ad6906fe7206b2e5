"""A request while it comes in, in parts; and what a client may do meanwhile."""

from __future__ import annotations

import resource
import time
from dataclasses import dataclass, field

import httptools

from clary.endpoint.http_messages import HttpRequest

# Smaller parts of a body are put together: each would take fifty bytes more.
_SMALL_PART_BYTES = 512
_MOST_CONNECTIONS = 16_000


@dataclass(frozen=True)
class Bounds:
    """What a client may do.

    body_bytes:  the largest body
    stall_s:     how long it may be silent before its first request and within one, or leave its
                 answer unread
    idle_s:      how long it may be silent between two requests
    room_bytes:  of the bodies of all requests that are not answered yet
    connections: of all clients; those that have been idle for longest make way
    """

    body_bytes: int
    stall_s: float = 20.0
    idle_s: float = 600.0
    room_bytes: int = 512 << 20
    connections: int = _MOST_CONNECTIONS


def most_connections() -> int:
    """So many that there are files left to open."""
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return _MOST_CONNECTIONS if files < 0 else min(_MOST_CONNECTIONS, files * 7 // 8)


@dataclass(slots=True)
class Incoming:
    """What has come of one request.

    began:           when its first byte came, by `time.monotonic()`; None before that
    in_body:         whether its head is whole
    body_bytes:      that have come
    head_bytes:      that have come
    unparsed_bytes:  that came since the parser last gave out anything but parts of a head
    held:            bytes of the room that it takes
    unswitched:      how long its body is, where the parser does not read it
    """

    began: float | None = None
    in_body: bool = False
    url: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    body_bytes: int = 0
    head_bytes: int = 0
    unparsed_bytes: int = 0
    held: int = 0
    unswitched: int = 0
    _parts: list[bytes | bytearray] = field(default_factory=list)

    @property
    def length(self) -> int:
        """How long its body is said to be, in bytes; 0 where that is not said."""
        said = self.headers.get("content-length", "")
        return int(said) if said.isascii() and said.isdigit() else 0

    def take(self, part: bytes) -> None:
        """Add a part of the body."""
        if len(part) >= _SMALL_PART_BYTES:
            self._parts.append(part)
        elif self._parts and isinstance(self._parts[-1], bytearray):
            self._parts[-1] += part
        else:
            self._parts.append(bytearray(part))
        self.body_bytes += len(part)

    def whole(self, parser: httptools.HttpRequestParser) -> HttpRequest:
        """The request, once all of it has come.

        Args:
            parser: that has read its head.
        """
        return HttpRequest(
            method=parser.get_method().decode("latin-1"),
            path=_path(self.url),
            headers=self.headers,
            body=b"".join(self._parts),
            began=self.began or time.monotonic(),
            is_old=parser.get_http_version() == "1.0",
        )


def _path(url: bytes) -> str:
    """The path of a request's target, which may be a whole URL."""
    if not url.startswith(b"/"):
        try:
            url = httptools.parse_url(url).path or b"/"
        except httptools.HttpParserInvalidURLError:
            return ""
    return url.partition(b"?")[0].decode("latin-1")
