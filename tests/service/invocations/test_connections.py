from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clary.service.invocations.connections import (
    Connections,
    NotAccepted,
    NotAnswered,
    Reply,
    TimedOut,
)
from tests.service.invocations.tiny_replica import TinyReplica, unused_port


class Scripted:
    """Reads a request on each connection, then sends pieces and closes, or keeps silent."""

    def __init__(self, pieces: list[bytes], *, silent: bool = False) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._pieces = pieces
        self._silent = silent
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        connection, _ = self._listener.accept()
        with connection:
            received = b""
            while b"\r\n\r\n" not in received:
                received += connection.recv(65536)
            for piece in self._pieces:
                connection.sendall(piece)
            if self._silent:
                self._over.wait(60)

    def close(self) -> None:
        self._over.set()
        self._thread.join()
        self._listener.close()


@pytest.fixture
def connections() -> Iterator[Connections]:
    connections = Connections()
    yield connections
    connections.close()


@pytest.fixture
def scripted() -> Iterator[Callable[..., Scripted]]:
    started = []

    def start(*pieces: bytes, silent: bool = False) -> Scripted:
        started.append(Scripted(list(pieces), silent=silent))
        return started[-1]

    yield start
    for one in started:
        one.close()


def post(connections: Connections, port: int, body: bytes = b"x", seconds: float = 60) -> Reply:
    return connections.post(port, "/invocations", {"content-type": "text/plain"}, body, seconds)


def test_a_connection_is_used_again(connections: Connections) -> None:
    replica = TinyReplica()
    try:
        for number in range(5):
            assert post(connections, replica.port, str(number).encode()).body == b"%d" % number
        assert replica.connections == 1
    finally:
        replica.close()


def test_an_idle_connection_that_was_closed_is_not_used(connections: Connections) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"

    closed = threading.Event()

    def serve() -> None:
        for _ in range(2):
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(answer)
            closed.set()

    thread = threading.Thread(target=serve)
    thread.start()
    port = listener.getsockname()[1]
    assert post(connections, port).body == b"ok"
    assert closed.wait(60)
    assert post(connections, port).body == b"ok"
    thread.join()
    listener.close()


def test_what_was_idle_for_long_is_closed(
    connections: Connections, monkeypatch: pytest.MonkeyPatch
) -> None:
    replica = TinyReplica()
    try:
        post(connections, replica.port)
        connections.sweep()
        post(connections, replica.port)
        assert replica.connections == 1
        monkeypatch.setattr("clary.service.invocations.connections._IDLE_S", 0.0)
        connections.sweep()
        post(connections, replica.port)
        assert replica.connections == 2
    finally:
        replica.close()


@pytest.mark.parametrize(
    ("head", "body"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", b"hello"),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"3\r\nhel\r\n2;a=b\r\nlo\r\n0\r\n\r\n",
        ),
        (b"HTTP/1.0 200 OK\r\n\r\n", b"hello"),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", b"hello"),
    ],
    ids=["length", "chunks", "until-the-end", "after-a-continue"],
)
def test_bodies_come_in_every_form(
    connections: Connections, scripted: Callable[..., Scripted], head: bytes, body: bytes
) -> None:
    reply = post(connections, scripted(head, body).port)
    assert (reply.status, reply.body) == (200, b"hello")


def test_a_refusal_before_the_bodys_end_is_read(
    connections: Connections, scripted: Callable[..., Scripted]
) -> None:
    server = scripted(b"HTTP/1.1 413 Too Large\r\ncontent-length: 3\r\n\r\nbig", silent=True)
    reply = post(connections, server.port, b"b" * 100_000)
    assert (reply.status, reply.body) == (413, b"big")


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"garbage\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhe",
        b"HTTP/1.1 2",
        b"HTTP/1.1 200 OK\r\ncontent-length: -5\r\n\r\n",
    ],
    ids=["nothing", "garbage", "half-a-body", "half-a-head", "length"],
)
def test_what_is_no_answer(
    connections: Connections, scripted: Callable[..., Scripted], said: bytes
) -> None:
    with pytest.raises(NotAnswered):
        post(connections, scripted(said).port)


def test_silence_ends_in_time(connections: Connections, scripted: Callable[..., Scripted]) -> None:
    with pytest.raises(TimedOut):
        post(connections, scripted(silent=True).port, seconds=0.2)


def test_nobody_there(connections: Connections) -> None:
    with pytest.raises(NotAccepted):
        post(connections, unused_port())


def test_closing_wakes_who_waits(scripted: Callable[..., Scripted]) -> None:
    connections = Connections()
    server = scripted(silent=True)
    timer = threading.Timer(0.2, connections.close)
    timer.start()
    with pytest.raises(NotAnswered):
        post(connections, server.port)
    timer.join()
    with pytest.raises(NotAccepted):
        post(connections, server.port)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.binary(min_size=1, max_size=40), max_size=5), st.data())
def test_an_answer_may_come_in_any_pieces(chunks: list[bytes], data: st.DataObject) -> None:
    framed = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)
    said = (
        b"HTTP/1.1 201 Made\r\nTransfer-Encoding: chunked\r\nX: y\r\n\r\n" + framed + b"0\r\n\r\n"
    )
    cuts = sorted(data.draw(st.sets(st.integers(1, len(said) - 1), max_size=6)))
    pieces = [said[a:b] for a, b in zip([0, *cuts], [*cuts, len(said)], strict=True)]
    server, connections = Scripted(pieces), Connections()
    try:
        reply = post(connections, server.port)
    finally:
        connections.close()
        server.close()
    assert reply == Reply(201, {"transfer-encoding": "chunked", "x": "y"}, b"".join(chunks))
