"""Answers on their way to a client, and whether it takes them."""

from __future__ import annotations

import asyncio
import fcntl
import socket
import struct
import termios
import time
from contextlib import suppress

# A client that is slower than this in the long run counts as silent.
SLOWEST_BYTES_PER_SECOND = 4096
# A body that is longer is not copied behind its head.
_COPIED_BYTES = 64 << 10


class Sending:
    """What is written to one client, and how much of it has been taken."""

    def __init__(self, transport: asyncio.Transport, stall_s: float) -> None:
        """Begin.

        Args:
            transport: to the client.
            stall_s: how long the client may take nothing of what was written.
        """
        self._transport = transport
        self._stall_s = stall_s
        self._written = 0
        self._taken = 0
        self._late_at = time.monotonic() + stall_s

    def write(self, head: bytes, body: bytes = b"") -> None:
        """Send bytes, at once or as the client takes them."""
        self._written += len(head) + len(body)
        if len(body) > _COPIED_BYTES:
            self._transport.writelines((head, body))
        else:
            self._transport.write(head + body if body else head)

    @property
    def is_over(self) -> bool:
        """Whether nothing that was written is left in this process."""
        return not self._transport.get_write_buffer_size()

    def is_stuck(self, now: float) -> bool:
        """Whether the client has taken next to nothing for too long. To be asked now and then.

        Args:
            now: by `time.monotonic()`.
        """
        unsent = self._transport.get_write_buffer_size()
        if not unsent:
            self._late_at = now + self._stall_s
            return False
        taken = self._written - unsent - self._in_system()
        progress = taken - self._taken
        self._taken = taken
        self._late_at = min(
            now + self._stall_s, self._late_at + progress / SLOWEST_BYTES_PER_SECOND
        )
        return now >= self._late_at

    def has_left(self) -> bool:
        """Whether the client, which sends nothing more, has answered bytes with a reset."""
        connected = self._transport.get_extra_info("socket")
        with suppress(OSError):
            return bool(connected.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
        return True

    def _in_system(self) -> int:
        """What the system has of it, which takes megabytes at a time of a slow connection's."""
        handle = self._transport.get_extra_info("socket").fileno()
        with suppress(OSError, ValueError):
            waiting: int = struct.unpack("i", fcntl.ioctl(handle, termios.TIOCOUTQ, b"\0" * 4))[0]
            return waiting
        return 0
