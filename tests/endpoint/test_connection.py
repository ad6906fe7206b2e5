"""What clients can do to a server: stall, send too much, send anything."""

from __future__ import annotations

import http
import socket
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clary.endpoint.incoming import Bounds, Incoming
from clary.endpoint.invocation import Invocation, Reply
from tests.endpoint.served import Lengths, Wire, ask, get, serving
from tests.waiting import PATIENCE_S, until

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
        until(lambda: backend.begun == 1)
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
        until(lambda: backend.begun == 5)
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


def test_a_client_that_reads_nothing_is_let_go_and_fills_no_memory() -> None:
    with serving(Lengths(), bounds=QUICK) as running, Wire(running.port) as wire:
        wire.socket.settimeout(0.2)
        many = b"GET /metrics HTTP/1.1\r\n\r\n" * 400
        held = 0
        seen = False
        deadline = time.monotonic() + PATIENCE_S
        while running.server.connections or not seen:
            assert time.monotonic() < deadline, "it was not let go"
            try:
                wire.socket.sendall(many)
            except TimeoutError:
                pass
            except OSError:
                seen = True
            for connection in list(running.server.connections):
                assert connection._transport is not None
                seen = True
                held = max(held, connection._transport.get_write_buffer_size())
        assert held < 2_000_000


def test_a_client_far_ahead_of_its_answers_is_told_to_wait() -> None:
    with serving(Lengths()) as running, Wire(running.port) as wire:
        wire.send(b"GET /ping HTTP/1.1\r\n\r\n" * 5000)
        statuses = [wire.answer().status]
        while statuses[-1] == 200 and len(statuses) < 5000:
            statuses.append(wire.answer().status)
        assert set(statuses[:-1]) == {200}
        assert statuses[-1] in {200, 503}


def test_a_client_that_reads_slowly_gets_all_of_a_large_answer() -> None:
    class Large(Lengths):
        async def answer(self, invocation: Invocation) -> Reply:
            return Reply(200, b"x" * 24_000_000)

    with serving(Large(), bounds=QUICK) as running:
        wire = Wire.__new__(Wire)
        wire.socket = socket.socket()
        wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        wire.socket.settimeout(60)
        wire.socket.connect(("127.0.0.1", running.port))
        wire.send(b"POST /invocations HTTP/1.1\r\ncontent-length: 0\r\n\r\n")
        got, begun = 0, time.monotonic()
        while got < 24_000_000:
            data = wire.socket.recv(1 << 18)
            assert data, f"cut after {got} bytes"
            got += len(data)
            time.sleep(max(0.0, begun + got / 8e6 - time.monotonic()))
        wire.socket.close()


@pytest.mark.parametrize("second", [b"x: 1", b"content-length: 99999999\r\n\r\n"])
def test_a_bad_request_does_not_cost_the_answer_of_the_one_before(second: bytes) -> None:
    backend = Lengths(opened=False)
    with serving(backend, bounds=QUICK) as running, Wire(running.port) as wire:
        wire.post(b"good")
        wire.send(b"POST /invocations HTTP/1.1\r\n" + second)
        until(lambda: backend.begun == 1)
        time.sleep(2.5)
        backend.gate.set()
        assert wire.answer().json["length"] == 4
        assert wire.answer().status in {408, 413}
        assert wire.ends()


def test_a_client_that_sends_nothing_more_still_gets_its_answers() -> None:
    backend = Lengths(opened=False)
    with serving(backend) as running, Wire(running.port) as wire:
        wire.post(b"abc")
        wire.post(b"de")
        wire.post(b"12", length=10)
        wire.socket.shutdown(socket.SHUT_WR)
        assert wire.answer().status == 100
        backend.gate.set()
        assert wire.answer().json["length"] == 3
        assert wire.answer().json["length"] == 2
        assert "ended in the middle" in wire.answer().json["message"]
        assert wire.ends()


def test_a_body_in_small_chunks_costs_little_more_than_itself() -> None:
    incoming = Incoming()
    for _ in range(100_000):
        incoming.take(b"ab")
    incoming.take(b"c" * 1000)
    incoming.take(b"d")
    assert incoming.body_bytes == 201_001
    assert len(incoming._parts) == 3
    assert b"".join(incoming._parts) == b"ab" * 100_000 + b"c" * 1000 + b"d"


def test_bodies_that_are_only_announced_take_no_room() -> None:
    with serving(Lengths(), bounds=Bounds(body_bytes=1000, room_bytes=5000)) as running:
        wires = [Wire(running.port) for _ in range(20)]
        for wire in wires:
            wire.post(b"", length=1000)
        until(lambda: len(running.server.connections) == 20)
        assert ask(running.port, b"x" * 1000).status == 200
        for wire in wires:
            wire.socket.close()


def test_a_client_that_never_says_anything_is_let_go_soon() -> None:
    bounds = Bounds(body_bytes=1000, stall_s=1.0)
    with serving(Lengths(), bounds=bounds) as running, Wire(running.port) as wire:
        assert wire.ends()


def test_those_that_have_been_idle_for_longest_make_way() -> None:
    backend = Lengths(opened=False)
    with serving(backend, bounds=Bounds(body_bytes=1000, connections=3)) as running:
        busy = Wire(running.port)
        busy.post(b"x")
        until(lambda: backend.begun == 1)
        idle = []
        for number in range(4):
            idle.append(Wire(running.port))
            until(lambda number=number: len(running.server.connections) >= min(3, number + 2))
        assert idle[0].ends()
        assert idle[1].ends()
        backend.gate.set()
        assert busy.answer().status == 200
        idle[3].post(b"y")
        assert idle[3].answer().status == 200
        for wire in (busy, *idle):
            wire.socket.close()


def test_http_1_0_that_wants_to_go_on_is_told_that_it_may() -> None:
    with serving(Lengths()) as running, Wire(running.port) as wire:
        for _ in range(2):
            wire.send(b"GET /ping HTTP/1.0\r\nconnection: keep-alive\r\n\r\n")
            assert wire.answer().headers["connection"] == "keep-alive"


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(pieces=st.lists(st.binary(min_size=1, max_size=200), min_size=1, max_size=4))
def test_arbitrary_bytes_get_an_error_and_leave_the_server_well(
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
        except ConnectionError:
            assert not b"".join(pieces).strip(b"\r\n")
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
