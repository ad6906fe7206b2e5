"""Bodies between the event loop, where bytes come and go, and the threads, where work is done."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, MutableMapping
from threading import Condition
from typing import Any

from clary.service.faults import Fault

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

# The loop stops taking bytes in above the first mark and goes on below the second.
HIGH_WATER_BYTES = 4 << 20
LOW_WATER_BYTES = 1 << 20
# A client that is silent for so long gives its thread back.
IDLE_SECONDS = 60.0
# One that is slower than this in the long run does so, too.
SLOWEST_BYTES_PER_SECOND = 4096


class Patience:
    """How long a client may be waited for: silence uses it up, bytes restore it."""

    def __init__(self, idle_seconds: float = IDLE_SECONDS) -> None:
        self._most = self.left = idle_seconds

    def spend(self, seconds: float, received: int) -> None:
        """Count a wait that was answered with so many bytes."""
        self.left = min(self._most, self.left - seconds + received / SLOWEST_BYTES_PER_SECOND)


def timed_out() -> Fault:
    """A client that was waited for too long."""
    return Fault(
        "RequestTimeout",
        "Your socket connection to the server was not read from or written to within the timeout "
        "period. Idle connections will be closed.",
    )


def broken_off() -> Fault:
    """A client that left before its request was whole."""
    return Fault("IncompleteBody", "The client broke off before the body's end.")


class BytesSource:
    """A body that is there already."""

    def __init__(self, body: bytes) -> None:
        self._body = memoryview(body)

    def read(self, size: int) -> bytes:
        """The next bytes, at most `size`."""
        data, self._body = self._body[:size], self._body[size:]
        return bytes(data)


class BodyBridge:
    """A body that is still coming: the loop pumps, one thread reads; memory stays flat."""

    def __init__(self, receive: Receive, idle_seconds: float = IDLE_SECONDS) -> None:
        self._receive = receive
        self._patience = Patience(idle_seconds)
        self._loop = asyncio.get_running_loop()
        self._room = asyncio.Event()
        self._arrived = Condition()
        self._chunks: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._complete = False
        self._broken = False
        self._closed = False

    @property
    def complete(self) -> bool:
        """Whether the whole body has come in."""
        return self._complete

    async def pump(self) -> None:
        """Take the body in until its end, or until nobody wants it any more. On the loop."""
        while not self._closed:
            message = await self._receive()
            data = message.get("body", b"")
            with self._arrived:
                if message["type"] == "http.disconnect":
                    self._broken = True
                else:
                    if data:
                        self._chunks.append(data)
                        self._waiting_bytes += len(data)
                    self._complete = not message.get("more_body", False)
                full = self._waiting_bytes >= HIGH_WATER_BYTES
                if full:
                    self._room.clear()
                self._arrived.notify()
            if self._complete or self._broken:
                return
            if full:
                await self._room.wait()

    def read(self, size: int) -> bytes:
        """The next bytes, at most `size`; b"" at the end. On a thread.

        Raises:
            Fault: the client went away, says nothing any more, or is too slow.
        """
        with self._arrived:
            while not self._chunks:
                if self._complete:
                    return b""
                if self._broken:
                    raise broken_off()
                begun = time.monotonic()
                arrived = self._arrived.wait(max(0.0, self._patience.left))
                self._patience.spend(time.monotonic() - begun, self._waiting_bytes)
                if not arrived:
                    raise timed_out()
            data = self._chunks.popleft()
            if len(data) > size:
                self._chunks.appendleft(data[size:])
                data = data[:size]
            before = self._waiting_bytes
            self._waiting_bytes -= len(data)
            drained = before > LOW_WATER_BYTES >= self._waiting_bytes
        if drained:
            self._loop.call_soon_threadsafe(self._room.set)
        return data

    def close(self) -> None:
        """Take nothing in any more; who still reads is told that it broke off. On the loop."""
        with self._arrived:
            self._closed = True
            self._broken = not self._complete
            self._arrived.notify()
        self._room.set()
