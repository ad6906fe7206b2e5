"""A real server on a thread, small real backends for it, and a client of plain bytes."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvloop

from clary.endpoint.backend import Backend, Health
from clary.endpoint.incoming import Bounds
from clary.endpoint.invocation import Invocation, Refusal, Reply
from clary.endpoint.server import Server
from clary.formats.replica import ReplicaSettings
from tests.waiting import PATIENCE_S


def replica_settings(**changes: Any) -> ReplicaSettings:
    told = {"endpoint": "dogs", "variant": "AllTraffic", "instance": "i-1", "kind": "pictures"}
    return ReplicaSettings.model_validate({**told, "model": "/nowhere", **changes})


class Lengths:
    """Answers with the length of the body; `gate` lets it, `begun` counts what it works on."""

    def __init__(self, capacity: int = 4, *, opened: bool = True) -> None:
        self.capacity = capacity
        self.health = Health(ready=False, reason="the model is being loaded")
        self.gate = threading.Event()
        self.begun = 0
        self.answered = 0
        self.cancelled = 0
        self.closed = False
        self._turns = asyncio.Semaphore(capacity)
        if opened:
            self.gate.set()

    async def start(self) -> None:
        self.health = Health(ready=True)

    async def answer(self, invocation: Invocation) -> Reply:
        try:
            async with self._turns:
                self.begun += 1
                while not self.gate.is_set():
                    await asyncio.sleep(0.002)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        self.answered += 1
        if invocation.body == b"refuse":
            raise Refusal(400, "this body is refused", retry_after_s=None)
        if invocation.body == b"break":
            raise RuntimeError("a bug")
        if invocation.body == b"header":
            return Reply(200, b"", headers={"x-bad": "a\r\nset-cookie: b"})
        if invocation.body == b"nothing":
            return Reply(204, b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
        if invocation.body == b"framing":
            framing = {"Content-Length": "3", "Transfer-Encoding": "chunked", "connection": "close"}
            return Reply(200, b"{}", headers={**framing, "X-Clary-Not-Accepted": "full", "a": "b"})
        told = {
            "length": len(invocation.body),
            "type": invocation.content_type,
            "accept": invocation.accept,
            "model": invocation.model,
            "attributes": invocation.custom_attributes,
            "left": invocation.deadline - time.monotonic(),
        }
        return Reply(200, json.dumps(told).encode(), headers={"x-own": "1"}, model_us=1500)

    async def close(self) -> None:
        self.closed = True


class Serving:
    """A server that runs; its loop is another thread's."""

    def __init__(self, server: Server, port: int, loop: asyncio.AbstractEventLoop) -> None:
        self.server = server
        self.port = port
        self._loop = loop
        self.lines: list[str] = []
        self.complaints: list[str] = []

    def close(self) -> None:
        """Shut it down gracefully, and wait."""
        self.begin_to_close().result(PATIENCE_S)

    def begin_to_close(self) -> Any:
        return asyncio.run_coroutine_threadsafe(self.server.close(), self._loop)


@contextmanager
def serving(
    backend: Backend, settings: ReplicaSettings | None = None, bounds: Bounds | None = None
) -> Iterator[Serving]:
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(1024)
    port = listener.getsockname()[1]
    loop = uvloop.new_event_loop()
    lines: list[str] = []
    complaints: list[str] = []
    server = Server(
        settings or replica_settings(),
        backend,
        say=lines.append,
        complain=complaints.append,
        bounds=bounds,
    )
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        asyncio.run_coroutine_threadsafe(server.start(listener), loop).result(PATIENCE_S)
        running = Serving(server, port, loop)
        running.lines, running.complaints = lines, complaints
        yield running
        if not server.closing:
            running.close()
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(PATIENCE_S)
        loop.close()


class Answer:
    """One answer off the wire."""

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Wire:
    """A connection on which every byte is the test's own."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), PATIENCE_S)
        self._left = b""

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def post(self, body: bytes, *headers: str, length: int | None = None) -> None:
        lines = [
            "POST /invocations HTTP/1.1",
            "host: localhost",
            f"content-length: {len(body) if length is None else length}",
            *headers,
        ]
        self.send("\r\n".join(lines).encode() + b"\r\n\r\n" + body)

    def answer(self, *, without_body: bool = False) -> Answer:
        """The next whole answer; ConnectionError where the connection ends before it."""
        while b"\r\n\r\n" not in self._left:
            self._more()
        head, _, self._left = self._left.partition(b"\r\n\r\n")
        first, *rest = head.decode("latin-1").split("\r\n")
        status = int(first.split(" ")[1])
        if status == 100:
            return Answer(100, {}, b"")
        headers = {
            name.lower(): value for name, _, value in (line.partition(": ") for line in rest)
        }
        length = 0 if without_body or status in {204, 304} else int(headers["content-length"])
        while len(self._left) < length:
            self._more()
        body, self._left = self._left[:length], self._left[length:]
        return Answer(status, headers, body)

    def ends(self) -> bool:
        """Whether the server closes it without another byte."""
        try:
            return not self._left and self.socket.recv(1) == b""
        except ConnectionResetError:
            return True

    def _more(self) -> None:
        data = self.socket.recv(1 << 16)
        if not data:
            raise ConnectionError("the connection ended before an answer")
        self._left += data


def ask(port: int, body: bytes, *headers: str) -> Answer:
    with Wire(port) as wire:
        wire.post(body, *headers)
        return wire.answer()


def get(port: int, path: str, method: str = "GET") -> Answer:
    with Wire(port) as wire:
        wire.send(f"{method} {path} HTTP/1.1\r\nhost: localhost\r\n\r\n".encode())
        return wire.answer(without_body=method == "HEAD")
