"""What the server and its workers say to each other: frames on a unix socket.

    lengths     two unsigned numbers of the network's order: 4 bytes of the head's, 8 of the body's
    head        JSON: an object with a "kind", and what else that kind tells
    body        bytes as they are: a request's, or an answer's

Worker to server: "hello" (pid), "ready" (failure), "answer" (status, content_type, headers, us).
Server to worker: "welcome" (number, threads, gpu), "invoke" (content_type, accept, …), "end".

Both ends are of one replica and one version of Clary. Only the standard library is used here, for
workers run in other people's environments.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

MAX_HEAD_BYTES = 1 << 20
MAX_BODY_BYTES = 1 << 31
_LENGTHS = struct.Struct("!IQ")


class FrameError(Exception):
    """The other end speaks something else: the connection is of no use any more."""


@dataclass(frozen=True)
class Frame:
    """One message."""

    kind: str
    told: Mapping[str, Any] = field(default_factory=dict)
    body: bytes = b""

    def head(self) -> bytes:
        """Everything before the body.

        Raises:
            FrameError: it would be longer than the other end takes.
        """
        head = json.dumps({**self.told, "kind": self.kind}).encode()
        if len(head) > MAX_HEAD_BYTES or len(self.body) > MAX_BODY_BYTES:
            raise FrameError(
                f"a message of {len(head):,} and {len(self.body):,} bytes is too long: "
                f"at most {MAX_HEAD_BYTES:,} and {MAX_BODY_BYTES:,} fit"
            )
        return _LENGTHS.pack(len(head), len(self.body)) + head


def send(connection: socket.socket, frame: Frame) -> None:
    """Send a frame, all of it.

    Raises:
        FrameError: it is too long.
        OSError: the other end is gone.
    """
    connection.sendall(frame.head())
    if frame.body:
        connection.sendall(frame.body)


def receive(connection: socket.socket) -> Frame | None:
    """The next frame; None when the other end has closed, or was cut off in the middle of one.

    Raises:
        FrameError: what came is no frame.
        OSError: the connection broke.
    """
    lengths = _receive_exactly(connection, _LENGTHS.size)
    if lengths is None:
        return None
    head_bytes, body_bytes = _checked(lengths)
    head = _receive_exactly(connection, head_bytes)
    body = _receive_exactly(connection, body_bytes)
    return None if head is None or body is None else _frame(head, body)


async def read(reader: asyncio.StreamReader) -> Frame | None:
    """As `receive`, on an event loop.

    Raises:
        FrameError: what came is no frame.
        OSError: the connection broke.
    """
    try:
        head_bytes, body_bytes = _checked(await reader.readexactly(_LENGTHS.size))
        head = await reader.readexactly(head_bytes)
        return _frame(head, await reader.readexactly(body_bytes))
    except asyncio.IncompleteReadError:
        return None


def _checked(lengths: bytes) -> tuple[int, int]:
    head_bytes, body_bytes = _LENGTHS.unpack(lengths)
    if head_bytes > MAX_HEAD_BYTES or body_bytes > MAX_BODY_BYTES:
        raise FrameError(f"a message of {head_bytes:,} and {body_bytes:,} bytes is none of ours")
    return head_bytes, body_bytes


def _frame(head: bytes, body: bytes) -> Frame:
    try:
        told = json.loads(head)
        return Frame(told.pop("kind"), told, body)
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise FrameError(f"the head of a message cannot be read: {error}") from error


def _receive_exactly(connection: socket.socket, count: int) -> bytes | None:
    buffer = bytearray(count)
    rest = memoryview(buffer)
    while rest:
        received = connection.recv_into(rest)
        if not received:
            return None
        rest = rest[received:]
    return bytes(buffer)
