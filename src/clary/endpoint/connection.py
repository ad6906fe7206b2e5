"""One client's connection: bytes in, whole requests on, answers back in their order.

HTTP/1.1 by httptools. What a client can do to a server is bounded here: the size of a head and of
a body, how long it may be silent in the middle of either, and how much of all bodies is held at
once. A request that goes beyond is answered as soon as that is known, not when its body has come.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Protocol, cast

import httptools

from clary.endpoint.http_messages import HttpRequest, HttpResponse, error_response, not_accepted

_HEAD_BYTES = 64 << 10
# What a client may send ahead of its answers before it is not listened to for a while.
_REQUESTS_AHEAD = 32
# A client that is slower than this in the long run counts as silent.
_SLOWEST_BYTES_PER_SECOND = 4096
# A connection that is closed on unread bytes is reset, and the answer lost with it.
_LINGER_S = 5.0


@dataclass(frozen=True)
class Bounds:
    """What a client may do.

    body_bytes:  the largest body
    stall_s:     how long it may be silent within a request, or leave its answer unread
    idle_s:      how long it may be silent between two requests
    room_bytes:  of the bodies of all requests that are not answered yet
    """

    body_bytes: int
    stall_s: float = 20.0
    idle_s: float = 600.0
    room_bytes: int = 512 << 20


class Edge(Protocol):
    """What the connections of a server share. Lives on their event loop."""

    bounds: Bounds
    connections: set[Connection]
    held_bytes: int

    @property
    def closing(self) -> bool:
        """Whether no more requests shall follow."""

    def respond(self, request: HttpRequest) -> Awaitable[HttpResponse]:
        """Answer a request, whatever happens. Cancelled when its client has left."""

    def refused(self, response: HttpResponse) -> None:
        """A request was answered before it was whole."""


class _Refused(Exception):
    """Stops the parser: what comes on this connection is of no interest any more."""


class Connection(asyncio.Protocol):
    """One client. The server calls `check` now and then, and `close` at its end."""

    def __init__(self, edge: Edge) -> None:
        self._edge = edge
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self._answers: deque[tuple[HttpRequest, int] | HttpResponse] = deque()
        self._task: asyncio.Task[None] | None = None
        self._paused = False
        # No request follows what has come so far.
        self._ends = False
        self._discards = False
        self._unread = False
        self._late_at = time.monotonic() + edge.bounds.idle_s
        self._expect_request()

    def _expect_request(self) -> None:
        self._began: float | None = None
        self._in_body = False
        self._url = b""
        self._headers: dict[str, str] = {}
        self._parts: list[bytes] = []
        self._body_bytes = 0
        self._head_bytes = 0
        # What came since the parser last gave out anything but parts of a head.
        self._unparsed_bytes = 0
        self._held = 0
        # Of a body that the parser does not read, so many bytes.
        self._unswitched = 0

    @property
    def began(self) -> float | None:
        """Since when a request is coming in, by `time.monotonic()`; None between two."""
        return self._began

    @property
    def owes(self) -> bool:
        """Whether a request is to be answered, or an answer to be taken."""
        return bool(self._answers) or self._task is not None or self._unread

    def check(self, now: float) -> None:
        """Lose patience with a client that is silent.

        Args:
            now: by `time.monotonic()`.
        """
        if now < self._late_at or self._transport is None or self._transport.is_closing():
            return
        if self._discards or self._unread:
            self._transport.abort()
        elif self._began is not None and not self._ends:
            self._refuse(
                error_response(
                    408,
                    f"{self._body_bytes} bytes of the body came, and then nothing more"
                    if self._in_body
                    else "the head of the request came in part, and then nothing more",
                )
            )
        elif not self._answers and self._task is None:
            self._transport.close()

    def close(self) -> None:
        """Let the client go, once it has what was written for it."""
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.Transport", transport)
        self._edge.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has left, or was let go: nobody waits for answers any more."""
        self._edge.connections.discard(self)
        self._ends = True
        self._edge.held_bytes -= self._held
        for answer in self._answers:
            if isinstance(answer, tuple):
                self._edge.held_bytes -= answer[1]
        self._answers.clear()
        self._expect_request()
        if self._task is not None:
            self._task.cancel()

    def data_received(self, data: bytes) -> None:
        """Take in what came."""
        if self._ends:
            return
        if self._unswitched:
            self._take_unswitched(data)
            return
        self._unparsed_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as offer:
            self._take_unswitched(data[offer.args[0] :])
        except httptools.HttpParserError as error:
            if not self._ends:
                self._refuse(
                    error_response(400, f"the request is no HTTP/1.1 that can be read: {error}")
                )
        if self._unparsed_bytes > _HEAD_BYTES and not self._ends:
            self._refuse_head()
        if len(self._answers) >= _REQUESTS_AHEAD and self._transport and not self._paused:
            self._paused = True
            self._transport.pause_reading()

    def pause_writing(self) -> None:
        """The client does not read its answers."""
        self._unread = True
        self._late_at = time.monotonic() + self._edge.bounds.stall_s

    def resume_writing(self) -> None:
        """It does again."""
        self._unread = False
        self._late_at = time.monotonic() + self._edge.bounds.idle_s

    def on_message_begin(self) -> None:
        """A request begins, perhaps one sent ahead of the answer to the last one."""
        self._began = time.monotonic()
        self._late_at = self._began + self._edge.bounds.stall_s

    def on_url(self, url: bytes) -> None:
        """Take a part of the URL."""
        self._url += url
        self._count_head(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header, of the head or behind the body."""
        self._count_head(len(name) + len(value))
        if not self._in_body:
            self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        """Refuse a body that is too large before it has come."""
        self._in_body = True
        self._unparsed_bytes = 0
        length = self._headers.get("content-length", "")
        if length.isascii() and length.isdigit():
            self._hold(int(length))
        if self._headers.get("expect", "").lower() == "100-continue" and self._transport:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        """Take a part of the body."""
        self._unparsed_bytes = 0
        self._parts.append(body)
        self._body_bytes += len(body)
        self._hold(self._body_bytes)
        self._late_at = min(
            time.monotonic() + self._edge.bounds.stall_s,
            self._late_at + len(body) / _SLOWEST_BYTES_PER_SECOND,
        )

    def on_message_complete(self) -> None:
        """The request is whole."""
        if self._parser.should_upgrade() and not self._unswitched:
            # An offer to switch to another protocol, which is declined by an answer in this one.
            # The parser takes what follows for the other one, and stops.
            if "transfer-encoding" in self._headers:
                self._refuse(
                    error_response(
                        400,
                        "an offer to switch protocols comes with a body of unknown length: send "
                        "content-length, or no Upgrade",
                    )
                )
                return
            length = self._headers.get("content-length", "")
            self._unswitched = int(length) if length.isascii() and length.isdigit() else 0
            if self._unswitched:
                return
        request = HttpRequest(
            method=self._parser.get_method().decode("latin-1"),
            path=_path(self._url),
            headers=self._headers,
            body=b"".join(self._parts),
            began=self._began or time.monotonic(),
        )
        self._ends = not self._parser.should_keep_alive() or self._parser.should_upgrade()
        self._answers.append((request, self._held))
        self._expect_request()
        self._answer_next()

    def _take_unswitched(self, data: bytes) -> None:
        missing = self._unswitched - self._body_bytes
        if missing <= 0:
            return
        if data:
            self.on_body(data[:missing])
        if len(data) >= missing:
            self.on_message_complete()

    def _count_head(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > _HEAD_BYTES:
            self._refuse_head()
            raise _Refused

    def _hold(self, size: int) -> None:
        """Count the body in the room, or refuse it."""
        bounds = self._edge.bounds
        if size > bounds.body_bytes:
            self._refuse(
                error_response(
                    413,
                    f"the body has {size} bytes or more, and {bounds.body_bytes} are the bound",
                )
            )
            raise _Refused
        if size <= self._held:
            return
        if self._edge.held_bytes + size - self._held > bounds.room_bytes:
            self._refuse(
                not_accepted("full", "the server is busy with other bodies; try again in 1 s")
            )
            raise _Refused
        self._edge.held_bytes += size - self._held
        self._held = size

    def _refuse_head(self) -> None:
        self._refuse(error_response(431, f"the head has more than {_HEAD_BYTES} bytes"))

    def _refuse(self, response: HttpResponse) -> None:
        """Answer a request that is not whole, after those before it, and listen no more."""
        self._ends = self._discards = True
        self._edge.held_bytes -= self._held
        self._expect_request()
        self._answers.append(response)
        self._edge.refused(response)
        self._answer_next()

    def _answer_next(self) -> None:
        while self._answers and self._task is None:
            answer = self._answers.popleft()
            if isinstance(answer, HttpResponse):
                self._write(answer, "")
            else:
                self._task = asyncio.get_running_loop().create_task(self._answer(*answer))

    async def _answer(self, request: HttpRequest, held: int) -> None:
        try:
            response = await self._edge.respond(request)
        finally:
            self._edge.held_bytes -= held
            self._task = None
        self._write(response, request.method)
        self._answer_next()
        if self._paused and len(self._answers) < _REQUESTS_AHEAD // 2 and self._transport:
            self._paused = False
            self._transport.resume_reading()

    def _write(self, response: HttpResponse, method: str) -> None:
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        last = not self._answers and self._began is None and (self._ends or self._edge.closing)
        if not self._unread and self._began is None:
            self._late_at = time.monotonic() + self._edge.bounds.idle_s
        transport.write(response.encode(keep_alive=not last, without_body=method == "HEAD"))
        if last and not self._discards:
            self._ends = True
            transport.close()
        elif last:
            self._late_at = time.monotonic() + _LINGER_S
            if transport.can_write_eof():
                transport.write_eof()


def _path(url: bytes) -> str:
    """The path of a request's target, which may be a whole URL."""
    if not url.startswith(b"/"):
        try:
            url = httptools.parse_url(url).path or b"/"
        except httptools.HttpParserInvalidURLError:
            return ""
    return url.partition(b"?")[0].decode("latin-1")
