"""HTTP to replicas over connections that are kept open.

A client of its own, because of what it tells: whether a replica can have begun with a request
that failed. Only one that surely was not accepted may go to another replica.
"""

from __future__ import annotations

import select
import socket
import threading
import time
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeAlias

Body: TypeAlias = bytes | memoryview

# The service model allows 6 MiB; asynchronous answers may be larger.
ANSWER_LIMIT_BYTES = 1 << 30
_HEAD_LIMIT_BYTES = 64 << 10
_RECEIVED_BYTES = 1 << 17
# Replicas keep idle connections longer.
_IDLE_S = 30.0
_KEPT = 128
_CONNECTING_S = 2.0


@dataclass(frozen=True)
class Reply:
    """What a replica answered. The names of `headers` are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class NotAccepted(Exception):
    """A replica surely did not begin with a request."""


class NotAnswered(Exception):
    """A replica may have begun with a request, and gave no answer to it."""


class TimedOut(NotAnswered):
    """There was no answer in time."""


class Connections:
    """Sends requests to ports of this machine. Any thread may call; each waits for its answer."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: dict[int, deque[tuple[float, _Connection]]] = {}
        self._busy: set[_Connection] = set()
        self._closed = False

    def post(
        self, port: int, path: str, headers: Mapping[str, str], body: Body, seconds: float
    ) -> Reply:
        """Send a request and wait for its answer.

        Args:
            port: of the replica.
            path: begins with a slash.
            headers: besides the length; in UTF-8.
            body: what is sent.
            seconds: how long all of it may take.

        Raises:
            NotAccepted: the replica is not there, or went before it had the whole request.
            TimedOut: there was no answer in time.
            NotAnswered: the replica went away over it, or what it says is no HTTP.
        """
        deadline = time.monotonic() + seconds
        connection = self._take(port) or _Connection(port)
        reusable = False
        try:
            self._begin(connection)
            reply, reusable = connection.exchange(_head(path, headers, len(body)), body, deadline)
        finally:
            self._end(port, connection, reusable)
        return reply

    def sweep(self) -> None:
        """Close what has been idle for long: its replica may be gone, and is asked no more."""
        oldest = time.monotonic() - _IDLE_S
        old = []
        with self._lock:
            for port, kept in list(self._idle.items()):
                while kept and kept[0][0] < oldest:
                    old.append(kept.popleft()[1])
                if not kept:
                    del self._idle[port]
        for connection in old:
            connection.close()

    def close(self) -> None:
        """Close all of them; who waits for an answer gets none."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, {}
            for connection in self._busy:
                connection.cut()
        for kept in idle.values():
            for _, connection in kept:
                connection.close()

    def _begin(self, connection: _Connection) -> None:
        with self._lock:
            if self._closed:
                raise NotAccepted("the service ends")
            self._busy.add(connection)

    def _take(self, port: int) -> _Connection | None:
        oldest = time.monotonic() - _IDLE_S
        while True:
            with self._lock:
                kept = self._idle.get(port)
                if not kept:
                    self._idle.pop(port, None)
                    return None
                since, connection = kept.pop()
            # What can be read on an idle connection is its end.
            if since >= oldest and not connection.readable():
                return connection
            connection.close()

    def _end(self, port: int, connection: _Connection, reusable: bool) -> None:
        surplus: _Connection | None = connection
        with self._lock:
            self._busy.discard(connection)
            if reusable and not self._closed:
                kept = self._idle.setdefault(port, deque())
                kept.append((time.monotonic(), connection))
                surplus = kept.popleft()[1] if len(kept) > _KEPT else None
        if surplus is not None:
            surplus.close()


class _Connection:
    """One connection; one thread at a time."""

    def __init__(self, port: int) -> None:
        try:
            self._socket = socket.create_connection(("127.0.0.1", port), _CONNECTING_S)
        except OSError as error:
            raise NotAccepted(str(error)) from error
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = bytearray()
        self._deadline = 0.0

    def readable(self) -> bool:
        poll = select.poll()
        poll.register(self._socket, select.POLLIN | select.POLLHUP)
        return bool(poll.poll(0))

    def close(self) -> None:
        self._socket.close()

    def cut(self) -> None:
        """Wake the thread that reads."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def exchange(self, head: bytes, body: Body, deadline: float) -> tuple[Reply, bool]:
        """The answer, and whether another request may follow on this connection."""
        self._deadline = deadline
        whole = self._send(head, body)
        try:
            return self._read_reply(whole)
        except TimeoutError as error:
            raise TimedOut("no answer in time") from error
        except (OSError, EOFError) as error:
            if whole:
                raise NotAnswered(str(error) or "the connection was closed") from error
            raise NotAccepted(str(error) or "the connection was closed") from error
        except ValueError as error:
            raise NotAnswered(str(error)) from error

    def _send(self, head: bytes, body: Body) -> bool:
        """Whether the whole request went out: what refuses a body may answer before its end."""
        try:
            self._patience()
            if len(body) < _RECEIVED_BYTES:
                self._socket.sendall(head + body)
            else:
                self._socket.sendall(head)
                self._patience()
                self._socket.sendall(body)
        except TimeoutError as error:
            raise TimedOut("the request was not taken in time") from error
        except OSError:
            return False
        return True

    def _patience(self) -> None:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._socket.settimeout(left)

    def _read_reply(self, whole: bool) -> tuple[Reply, bool]:
        while True:
            status, headers, keeps = self._read_head()
            if status >= 200:
                break
        if status in {204, 304}:
            body = b""
        elif "chunked" in headers.get("transfer-encoding", "").lower():
            body = self._read_chunks()
        elif "content-length" in headers:
            body = self._read_exactly(_length(headers["content-length"]))
        else:
            body, keeps = self._read_all(), False
        return Reply(status, headers, body), keeps and whole and not self._buffer

    def _read_head(self) -> tuple[int, dict[str, str], bool]:
        begin = 0
        while (end := self._buffer.find(b"\r\n\r\n", begin)) < 0:
            if len(self._buffer) > _HEAD_LIMIT_BYTES:
                raise ValueError("the head of the answer is too long")
            begin = max(0, len(self._buffer) - 3)
            self._receive()
        lines = bytes(self._buffer[:end]).decode("latin-1").split("\r\n")
        del self._buffer[: end + 4]
        version, _, rest = lines[0].partition(" ")
        status = rest[:3]
        if not version.startswith("HTTP/1.") or not status.isdigit():
            raise ValueError(f"the answer begins with {lines[0][:40]!r}, which is no HTTP")
        headers = {}
        for line in lines[1:]:
            name, _, value = line.partition(":")
            headers[name.strip().lower()] = value.strip()
        asked = headers.get("connection", "").lower()
        return int(status), headers, version == "HTTP/1.1" and asked != "close"

    def _read_chunks(self) -> bytes:
        parts = []
        total = 0
        while size := int(self._read_line().partition(b";")[0], 16):
            total += size
            if total > ANSWER_LIMIT_BYTES:
                raise ValueError("the answer is too long")
            parts.append(self._read_exactly(size))
            self._read_line()
        while self._read_line():
            pass
        return b"".join(parts)

    def _read_line(self) -> bytes:
        while (end := self._buffer.find(b"\r\n")) < 0:
            if len(self._buffer) > _HEAD_LIMIT_BYTES:
                raise ValueError("a line of the answer is too long")
            self._receive()
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 2]
        return line

    def _read_exactly(self, size: int) -> bytes:
        while len(self._buffer) < size:
            self._receive()
        data = bytes(self._buffer[:size])
        del self._buffer[:size]
        return data

    def _read_all(self) -> bytes:
        try:
            while len(self._buffer) <= ANSWER_LIMIT_BYTES:
                self._receive()
        except EOFError:
            data, self._buffer = bytes(self._buffer), bytearray()
            return data
        raise ValueError("the answer is too long")

    def _receive(self) -> None:
        self._patience()
        data = self._socket.recv(_RECEIVED_BYTES)
        if not data:
            raise EOFError("the connection was closed before the answer's end")
        self._buffer += data


def _length(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) > ANSWER_LIMIT_BYTES:
        raise ValueError(f"the answer's length is {text[:40]!r}")
    return int(text)


def _head(path: str, headers: Mapping[str, str], length: int) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "host: localhost", f"content-length: {length}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()
