"""The body of one request, as the event loop sees it."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from clary.service.bridging import BodyBridge, Receive
from clary.service.faults import Fault
from clary.service.protocol.messages import HttpRequest

# How long an answer waits for the end of a body that nobody reads.
LINGER_SECONDS = 5.0


class IncomingBody:
    """Taken whole, bridged to a thread, or let go. Lives on the loop.

    `announced` is its length in bytes; None when the client did not say.
    """

    def __init__(self, request: HttpRequest, receive: Receive) -> None:
        self._receive = receive
        self._bridge: BodyBridge | None = None
        self._pump: asyncio.Task[None] | None = None
        length = request.headers.get("content-length", "")
        chunked = "transfer-encoding" in request.headers
        self.announced = None if chunked else int(length) if length.isdecimal() else 0
        self._read = self.announced == 0
        self._held_back = "expect" in request.headers

    @property
    def complete(self) -> bool:
        """Whether nothing of the body is left in the connection."""
        return self._read or (self._bridge is not None and self._bridge.complete)

    async def read_all(self, limit: int) -> bytes:
        """The whole body.

        Raises:
            Fault: it is larger than `limit`, or the client broke off.
        """
        if self._read:
            return b""
        if self.announced is not None and self.announced > limit:
            raise _too_large(limit)
        parts, size = [], 0
        while not self._read:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise Fault("IncompleteBody", "The client broke off before the body's end.")
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            if size > limit:
                raise _too_large(limit)
            self._read = not message.get("more_body", False)
        return b"".join(parts)

    def bridge(self) -> BodyBridge:
        """The body while it comes, for a thread."""
        self._bridge = BodyBridge(self._receive)
        self._pump = asyncio.ensure_future(self._bridge.pump())
        return self._bridge

    async def close(self) -> None:
        """Nobody reads any more."""
        self.abandon()
        if self._pump is not None:
            await asyncio.wait([self._pump])

    def abandon(self) -> None:
        """Wake whoever still reads: the request has come to nothing."""
        if self._bridge is not None and self._pump is not None:
            self._bridge.close()
            if not self._bridge.complete:
                self._pump.cancel()

    async def discard(self) -> None:
        """Take in what the client is still sending, for a while.

        A connection that is closed on unread bytes is reset, and the answer lost with it.
        """
        if self._held_back and self._bridge is None:
            return  # nothing is sent before it is asked for
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._take_in(), LINGER_SECONDS)

    async def _take_in(self) -> None:
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect" or not message.get("more_body", False):
                return


def _too_large(limit: int) -> Fault:
    return Fault(
        "RequestEntityTooLarge",
        f"The body is larger than {limit} bytes: such data belongs into S3.",
        413,
    )
