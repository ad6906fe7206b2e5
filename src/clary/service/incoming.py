"""The body of one request, as the event loop sees it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import MutableMapping
from contextlib import suppress
from typing import Any

from clary.service.bridging import BodyBridge, Patience, Receive, broken_off, timed_out
from clary.service.faults import Fault
from clary.service.protocol.messages import HttpRequest
from clary.service.protocol.text_values import natural_number

# How long an answer waits for the end of a body that nobody reads.
LINGER_SECONDS = 5.0
ROOM_BYTES = 256 << 20
# Most requests; they never wait for the others.
SMALL_BODY_BYTES = 64 << 10


class Room:
    """The memory for bodies that are read whole, before anybody knows who sends them."""

    def __init__(self) -> None:
        self._left = ROOM_BYTES

    def has(self, size: int) -> bool:
        """Whether a body of this size can be taken now; a small one always."""
        return size <= SMALL_BODY_BYTES or size <= self._left

    def take(self, size: int) -> None:
        """Hold so many bytes more."""
        self._left -= size

    def give(self, size: int) -> None:
        """Hold so many bytes less."""
        self._left += size


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
        self.announced = None if chunked else natural_number(length) or 0
        self._read = self.announced == 0
        self._held_back = "expect" in request.headers
        self._held = 0

    @property
    def complete(self) -> bool:
        """Whether nothing of the body is left in the connection."""
        return self._read or (self._bridge is not None and self._bridge.complete)

    async def read_all(self, limit: int, room: Room) -> bytes:
        """The whole body. What is held of it counts in `room` until `release`.

        Raises:
            Fault: it is larger than `limit` or than the room, or the client broke off or is slow.
        """
        if self._read:
            return b""
        if self.announced is not None:
            if self.announced > limit:
                raise _too_large(limit)
            self._hold(room, self.announced)
        parts, size = [], 0
        patience = Patience()
        while not self._read:
            message = await self._next(patience)
            if message["type"] == "http.disconnect":
                raise broken_off()
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            if size > limit:
                raise _too_large(limit)
            if size > self._held:
                self._hold(room, size)
            self._read = not message.get("more_body", False)
        return b"".join(parts)

    def release(self, room: Room) -> None:
        """What was read whole is needed no more."""
        room.give(self._held)
        self._held = 0

    def _hold(self, room: Room, size: int) -> None:
        if not room.has(size):
            raise Fault("SlowDown", "Please reduce your request rate.", 503)
        room.take(size - self._held)
        self._held = size

    async def _next(self, patience: Patience) -> MutableMapping[str, Any]:
        begun = time.monotonic()
        try:
            message = await asyncio.wait_for(self._receive(), max(0.0, patience.left))
        except asyncio.TimeoutError as error:
            raise timed_out() from error
        patience.spend(time.monotonic() - begun, len(message.get("body", b"")))
        return message

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
