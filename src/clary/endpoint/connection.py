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
from contextlib import suppress
from typing import Protocol, cast

import httptools

from clary.endpoint.http_messages import HttpRequest, HttpResponse, error_response, not_accepted
from clary.endpoint.incoming import Bounds, Incoming
from clary.endpoint.sending import SLOWEST_BYTES_PER_SECOND, Sending

_HEAD_BYTES = 64 << 10
# What a client may send ahead of its answers before it is not listened to for a while.
_REQUESTS_AHEAD = 32
# What has come by then may be more, up to this.
_MOST_AHEAD = 1024
_TOO_FAR_AHEAD = f"{_MOST_AHEAD} requests were sent ahead of their answers: wait for some first"
# A connection that is closed on unread bytes is reset, and the answer lost with it.
_LINGER_S = 5.0
_UNKNOWN_LENGTH = (
    "an offer to switch protocols comes with a body of unknown length: send content-length, or no "
    "Upgrade"
)
_ENDED_EARLY = "the request ended in the middle: its connection was closed"
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


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
        # Not listened to for a while: it has sent far ahead, or does not read its answers.
        self._held_back = False
        self._reading = True
        # No request follows what has come so far.
        self._ends = False
        self._discards = False
        self._unread = False
        # The client sends nothing more, and may have left.
        self._half_closed = False
        self._probed = False
        self._idle_since = time.monotonic()
        self._late_at = self._idle_since + edge.bounds.stall_s
        self._incoming = Incoming()

    @property
    def began(self) -> float | None:
        """Since when a request is coming in, by `time.monotonic()`; None between two."""
        return self._incoming.began

    @property
    def owes(self) -> bool:
        """Whether a request is to be answered, or an answer to be taken."""
        return bool(self._answers) or self._task is not None or self._unread

    @property
    def idle_since(self) -> float | None:
        """Since when nothing has been asked of it, by `time.monotonic()`; None if it is busy."""
        busy = self.owes or self._incoming.began is not None or self._discards
        return None if busy else self._idle_since

    def check(self, now: float) -> None:
        """Lose patience with a client that is silent, and notice one that has left.

        Args:
            now: by `time.monotonic()`.
        """
        transport = self._transport
        if transport is None:
            return
        if self._sending.is_stuck(now) or (self._half_closed and self._has_left()):
            transport.abort()
        elif now < self._late_at or transport.is_closing() or self._held_back:
            return
        elif self._discards:
            if not self.owes and self._sending.is_over:
                transport.abort()
        elif self._incoming.began is not None and not self._ends:
            self._refuse(
                error_response(
                    408,
                    f"{self._incoming.body_bytes} bytes of the body came, and then nothing more"
                    if self._incoming.in_body
                    else "the head of the request came in part, and then nothing more",
                )
            )
        elif not self.owes:
            transport.close()

    def _has_left(self) -> bool:
        """Whether a client that sends nothing more does not read either.

        That is only known once it was sent something: an interim answer, which a client of
        HTTP/1.1 has to expect at any time.
        """
        if self._probed:
            return self._sending.has_left()
        if self._task is not None and self._parser.get_http_version() == "1.1":
            self._probed = True
            self._sending.write(_CONTINUE)
        return False

    def close(self) -> None:
        """Let the client go, once it has what was written for it."""
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Let it go at once."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.Transport", transport)
        self._sending = Sending(self._transport, self._edge.bounds.stall_s)
        self._edge.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has left, or was let go: nobody waits for answers any more."""
        self._edge.connections.discard(self)
        self._ends = True
        self._edge.held_bytes -= self._incoming.held
        for answer in self._answers:
            if isinstance(answer, tuple):
                self._edge.held_bytes -= answer[1]
        self._answers.clear()
        self._incoming = Incoming()
        if self._task is not None:
            self._task.cancel()

    def data_received(self, data: bytes) -> None:
        """Take in what came."""
        if self._ends:
            return
        if self._incoming.unswitched:
            self._take_unswitched(data)
            return
        self._incoming.unparsed_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as offer:
            self._take_unswitched(data[offer.args[0] :])
        except httptools.HttpParserError as error:
            if not self._ends:
                self._refuse(
                    error_response(400, f"the request is no HTTP/1.1 that can be read: {error}")
                )
        if self._incoming.unparsed_bytes > _HEAD_BYTES and not self._ends:
            self._refuse_head()
        if len(self._answers) >= _REQUESTS_AHEAD:
            self._hold_back()

    def eof_received(self) -> bool:
        """The client sends nothing more; it may wait for answers all the same.

        Returns:
            Whether it is to get any.
        """
        self._half_closed = True
        if self._incoming.began is not None and not self._ends:
            self._refuse(error_response(400, _ENDED_EARLY))
        self._ends = True
        return self.owes

    def pause_writing(self) -> None:
        """The client does not read its answers: it gets no more of them, and is not heard."""
        self._unread = True
        self._hold_back()

    def resume_writing(self) -> None:
        """It does again."""
        self._unread = False
        self._answer_next()
        self._listen_again()

    def _hold_back(self) -> None:
        self._held_back = True
        self._set_reading(False)

    def _listen_again(self) -> None:
        """Once there is room for more answers."""
        if self._held_back and not self._unread and len(self._answers) < _REQUESTS_AHEAD // 2:
            self._held_back = False
            self._wait_anew()
            self._set_reading(True)

    def _set_reading(self, wanted: bool) -> None:
        transport = self._transport
        if transport is None or transport.is_closing() or self._half_closed:
            return
        if wanted != self._reading:
            self._reading = wanted
            (transport.resume_reading if wanted else transport.pause_reading)()

    def _wait_anew(self) -> None:
        """Have patience from now on."""
        bounds = self._edge.bounds
        self._idle_since = time.monotonic()
        if self._discards:
            patience_s = _LINGER_S
        elif self._incoming.began is not None:
            patience_s = bounds.stall_s
        else:
            patience_s = bounds.idle_s
        self._late_at = self._idle_since + patience_s

    def on_message_begin(self) -> None:
        """A request begins, perhaps one sent ahead of the answer to the last one."""
        self._incoming.began = time.monotonic()
        self._late_at = self._incoming.began + self._edge.bounds.stall_s

    def on_url(self, url: bytes) -> None:
        """Take a part of the URL."""
        self._incoming.url += url
        self._count_head(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header, of the head or behind the body."""
        self._count_head(len(name) + len(value))
        if not self._incoming.in_body:
            self._incoming.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        """Refuse a body that is too large before it has come.

        Room is only taken by what has: to announce bodies costs nothing.
        """
        self._incoming.in_body = True
        self._incoming.unparsed_bytes = 0
        self._check_length(self._incoming.length)
        if self._incoming.headers.get("expect", "").lower() == "100-continue" and self._transport:
            self._sending.write(_CONTINUE)

    def on_body(self, body: bytes) -> None:
        """Take a part of the body."""
        self._incoming.unparsed_bytes = 0
        self._incoming.take(body)
        self._hold(self._incoming.body_bytes)
        self._late_at = min(
            time.monotonic() + self._edge.bounds.stall_s,
            self._late_at + len(body) / SLOWEST_BYTES_PER_SECOND,
        )

    def on_message_complete(self) -> None:
        """The request is whole."""
        if self._parser.should_upgrade() and not self._incoming.unswitched:
            # An offer to switch to another protocol, which is declined by an answer in this one.
            # The parser takes what follows for the other one, and stops.
            if "transfer-encoding" in self._incoming.headers:
                self._refuse(error_response(400, _UNKNOWN_LENGTH))
                return
            self._incoming.unswitched = self._incoming.length
            if self._incoming.unswitched:
                return
        if len(self._answers) >= _MOST_AHEAD:
            self._refuse(not_accepted("full", _TOO_FAR_AHEAD))
            raise _Refused
        request = self._incoming.whole(self._parser)
        self._ends = not self._parser.should_keep_alive() or self._parser.should_upgrade()
        self._answers.append((request, self._incoming.held))
        self._incoming = Incoming()
        self._answer_next()

    def _take_unswitched(self, data: bytes) -> None:
        missing = self._incoming.unswitched - self._incoming.body_bytes
        with suppress(_Refused):
            if missing > 0:
                self.on_body(data[:missing])
                if len(data) >= missing:
                    self.on_message_complete()

    def _count_head(self, size: int) -> None:
        self._incoming.head_bytes += size
        if self._incoming.head_bytes > _HEAD_BYTES:
            self._refuse_head()
            raise _Refused

    def _hold(self, size: int) -> None:
        """Count what has come of a body in the room, or refuse it."""
        bounds = self._edge.bounds
        self._check_length(size)
        if self._edge.held_bytes + size - self._incoming.held > bounds.room_bytes:
            self._refuse(
                not_accepted("full", "the server is busy with other bodies; try again in 1 s")
            )
            raise _Refused
        self._edge.held_bytes += size - self._incoming.held
        self._incoming.held = size

    def _check_length(self, size: int) -> None:
        bound = self._edge.bounds.body_bytes
        if size > bound:
            self._refuse(
                error_response(413, f"the body has {size} bytes or more, and {bound} are the bound")
            )
            raise _Refused

    def _refuse_head(self) -> None:
        self._refuse(error_response(431, f"the head has more than {_HEAD_BYTES} bytes"))

    def _refuse(self, response: HttpResponse) -> None:
        """Answer a request that is not whole, after those before it, and listen no more."""
        self._ends = self._discards = True
        self._edge.held_bytes -= self._incoming.held
        self._incoming = Incoming()
        self._answers.append(response)
        self._edge.refused(response)
        self._answer_next()

    def _answer_next(self) -> None:
        while self._answers and self._task is None and not self._unread:
            answer = self._answers.popleft()
            if isinstance(answer, HttpResponse):
                self._write(answer, None)
            else:
                self._task = asyncio.get_running_loop().create_task(self._answer(*answer))

    async def _answer(self, request: HttpRequest, held: int) -> None:
        try:
            response = await self._edge.respond(request)
        finally:
            self._edge.held_bytes -= held
            self._task = None
        self._write(response, request)
        self._answer_next()
        self._listen_again()

    def _write(self, response: HttpResponse, request: HttpRequest | None) -> None:
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        last = (
            not self._answers
            and self._incoming.began is None
            and (self._ends or self._edge.closing)
        )
        head = response.head(keep_alive=not last, keeps_by_itself=not (request and request.is_old))
        self._sending.write(head, b"" if request and request.method == "HEAD" else response.content)
        if not self._discards and self._incoming.began is None:
            self._wait_anew()
        if last and (self._half_closed or not self._discards):
            self._ends = True
            transport.close()
        elif last:
            self._wait_anew()
            if transport.can_write_eof():
                transport.write_eof()
