"""What clients can do to a server: stall, send too much, send anything."""

from __future__ import annotations

import http
import socket
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clary.endpoint.connection import Bounds
from tests.endpoint.served import Lengths, Wire, ask, get, serving, wait_for

QUICK = Bounds(body_bytes=1000, stall_s=1.0, idle_s=1.0, room_bytes=5000)
BOUNDED = Bounds(body_bytes=1000)


def test_a_body_that_is_announced_too_large_is_refused_before_it_comes() -> None:
    with serving(Lengths(), bounds=BOUNDED) as running, Wire(running.port) as wire:
        wire.post(b"", length=1001)
        answer = wire.answer()
        assert answer.status == 413
        assert "1001 bytes or more, and 1000 are the bound" in answer.json["message"]
        assert answer.headers["connection"] == "close"
        assert wire.ends()
        assert ask(running.port, b"x" * 1000).status == 200


def test_a_client_that_sends_its_large_body_all_the_same_reads_the_answer() -> None:
    with serving(Lengths(), bounds=BOUNDED) as running, Wire(running.port) as wire:
        wire.post(b"x" * 3_000_000)
        assert wire.answer().status == 413


def test_a_chunked_body_that_grows_too_large() -> None:
    with serving(Lengths(), bounds=BOUNDED) as running, Wire(running.port) as wire:
        wire.send(b"POST /invocations HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n")
        for _ in range(11):
            wire.send(b"64\r\n" + b"x" * 100 + b"\r\n")
        assert wire.answer().status == 413


@pytest.mark.parametrize("sent", [b"POST /invoc", b"POST / HTTP/1.1\r\nhost: x\r\n"])
def test_a_client_that_stalls_in_the_head(sent: bytes) -> None:
    with serving(Lengths(), bounds=QUICK) as running, Wire(running.port) as wire:
        wire.send(sent)
        assert wire.answer().status == 408
        assert wire.ends()


def test_a_client_that_stalls_in_the_body() -> None:
    backend = Lengths()
    with serving(backend, bounds=QUICK) as running, Wire(running.port) as wire:
        wire.post(b"12345", length=10)
        answer = wire.answer()
        assert answer.status == 408
        assert answer.json["message"].startswith("5 bytes of the body came")
        assert wire.ends()
        assert backend.begun == 0
        assert running.server.held_bytes == 0


def test_a_client_that_is_silent_between_requests_is_let_go() -> None:
    with serving(Lengths(), bounds=QUICK) as running, Wire(running.port) as wire:
        wire.post(b"x")
        assert wire.answer().status == 200
        assert wire.ends()


def test_a_client_that_waits_for_a_slow_answer_is_not_let_go() -> None:
    backend = Lengths(opened=False)
    with serving(backend, bounds=QUICK) as running, Wire(running.port) as wire:
        wire.post(b"x")
        wait_for(lambda: backend.begun == 1)
        wire.socket.settimeout(2.5)
        with pytest.raises(TimeoutError):
            wire.answer()
        wire.socket.settimeout(60)
        backend.gate.set()
        assert wire.answer().status == 200


def test_all_bodies_together_have_a_bound() -> None:
    backend = Lengths(capacity=10, opened=False)
    with serving(backend, bounds=Bounds(body_bytes=1000, room_bytes=5000)) as running:
        wires = [Wire(running.port) for _ in range(5)]
        for wire in wires:
            wire.post(b"x" * 1000)
        wait_for(lambda: backend.begun == 5)
        refused = ask(running.port, b"x" * 1000)
        assert refused.status == 503
        assert refused.headers["x-clary-not-accepted"] == "full"
        backend.gate.set()
        assert [wire.answer().status for wire in wires] == [200] * 5
        for wire in wires:
            wire.socket.close()
        assert running.server.held_bytes == 0
        assert ask(running.port, b"x" * 1000).status == 200


def test_a_head_that_is_too_large() -> None:
    with serving(Lengths()) as running:
        for head in (
            b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n",
            b"GET / HTTP/1.1\r\nx: " + b"a" * 70_000 + b"\r\n\r\n",
            b"GET / HTTP/1.1\r\nx: " + b"a" * 70_000,
        ):
            with Wire(running.port) as wire:
                wire.send(head)
                assert wire.answer().status == 431


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"hello\r\n\r\n",
        b"GET / HTTP/3.9\r\n\r\n",
        b"POST /invocations HTTP/1.1\r\ncontent-length: -1\r\n\r\n",
        b"POST /invocations HTTP/1.1\r\ncontent-length: 99999999999999999999999\r\n\r\n",
        b"POST /invocations HTTP/1.1\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n",
        b"POST /invocations HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
    ],
    ids=["tls", "words", "version", "negative", "enormous", "both", "chunk"],
)
def test_what_is_no_http_is_a_400(sent: bytes) -> None:
    with serving(Lengths()) as running, Wire(running.port) as wire:
        wire.send(sent)
        answer = wire.answer()
        assert answer.status == 400
        assert answer.json["message"]
        assert wire.ends()


def test_an_offer_to_switch_protocols_is_declined_in_plain_http() -> None:
    with serving(Lengths()) as running, Wire(running.port) as wire:
        wire.post(b"abc", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c")
        assert wire.answer().json["length"] == 3
        assert wire.ends()
    with serving(Lengths()) as running, Wire(running.port) as wire:
        wire.post(b"abc", "Connection: Upgrade", "Upgrade: h2c", length=5)
        time.sleep(0.05)
        wire.send(b"de")
        assert wire.answer().json["length"] == 5
    with serving(Lengths()) as running, Wire(running.port) as wire:
        wire.send(b"GET /ping HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n")
        assert wire.answer().status == 200
    with serving(Lengths()) as running, Wire(running.port) as wire:
        wire.send(b"POST /invocations HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n")
        wire.send(b"transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
        assert wire.answer().status == 400


def test_http_1_0_and_a_client_that_wants_to_close() -> None:
    with serving(Lengths()) as running:
        with Wire(running.port) as wire:
            wire.send(b"GET /ping HTTP/1.0\r\n\r\n")
            assert wire.answer().status == 200
            assert wire.ends()
        with Wire(running.port) as wire:
            wire.post(b"x", "Connection: close")
            assert wire.answer().headers["connection"] == "close"
            assert wire.ends()


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(pieces=st.lists(st.binary(min_size=1, max_size=200), min_size=1, max_size=4))
def test_arbitrary_bytes_get_an_error_or_nothing_and_leave_the_server_well(
    any_server: int, pieces: list[bytes]
) -> None:
    with Wire(any_server) as wire:
        for piece in pieces:
            try:
                wire.send(piece)
            except OSError:
                break
        wire.socket.shutdown(socket.SHUT_WR) if _open(wire) else None
        try:
            answer = wire.answer()
        except (ConnectionError, OSError):
            return
        assert answer.status >= 400
        assert answer.status in {status.value for status in http.HTTPStatus}


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    bodies=st.lists(st.binary(max_size=400), min_size=1, max_size=6),
    cuts=st.lists(st.integers(1, 300), max_size=12),
)
def test_requests_cut_anywhere_get_their_answers_in_order(
    any_server: int, bodies: list[bytes], cuts: list[int]
) -> None:
    stream = b"".join(
        b"POST /invocations HTTP/1.1\r\ncontent-length: %d\r\n\r\n%s"
        % (len(body), b"." * len(body))
        for body in bodies
    )
    with Wire(any_server) as wire:
        wire.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for cut in cuts:
            wire.send(stream[:cut])
            stream = stream[cut:]
        wire.send(stream)
        assert [wire.answer().json["length"] for _ in bodies] == [len(body) for body in bodies]


@pytest.fixture(scope="module")
def any_server():  # type: ignore[no-untyped-def]
    with serving(Lengths()) as running:
        yield running.port
        assert get(running.port, "/ping").status == 200
        assert running.complaints == []
        assert running.server.held_bytes == 0


def _open(wire: Wire) -> bool:
    try:
        wire.socket.getpeername()
    except OSError:
        return False
    return True
