from __future__ import annotations

import threading

import pytest

from clary.endpoint.backend import Health
from tests.endpoint.served import Lengths, Wire, ask, get, replica_settings, serving
from tests.waiting import until


def test_an_invocation_is_answered_and_carries_its_headers() -> None:
    with serving(Lengths()) as running:
        answer = ask(
            running.port,
            b"123",
            "Content-Type: image/jpeg",
            "Accept: text/csv",
            "X-Amzn-SageMaker-Custom-Attributes: trace=1",
            "x-clary-model: dogs-1",
        )
    assert answer.status == 200
    told = answer.json
    assert told.pop("left") == pytest.approx(60, abs=10)
    assert told == {
        "length": 3,
        "type": "image/jpeg",
        "accept": "text/csv",
        "model": "dogs-1",
        "attributes": "trace=1",
    }
    assert answer.headers["x-clary-model-us"] == "1500"
    assert answer.headers["x-own"] == "1"


def test_a_connection_carries_many_requests_also_ahead_of_their_answers() -> None:
    with serving(Lengths()) as running, Wire(running.port) as wire:
        for length in range(5):
            wire.post(b"x" * length)
            assert wire.answer().json["length"] == length
        for length in range(100):
            wire.post(b"x" * length)
        assert [wire.answer().json["length"] for _ in range(100)] == list(range(100))


def test_a_chunked_body_and_one_that_waits_for_the_word_to_go_on() -> None:
    with serving(Lengths()) as running, Wire(running.port) as wire:
        wire.send(b"POST /invocations HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n")
        wire.send(b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")
        assert wire.answer().json["length"] == 5
        wire.post(b"", "Expect: 100-continue", length=4)
        assert wire.answer().status == 100
        wire.send(b"late")
        assert wire.answer().json["length"] == 4


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/ping", 200),
        ("HEAD", "/ping", 200),
        ("GET", "/metrics", 200),
        ("GET", "/", 200),
        ("GET", "/ping?x=1", 200),
        ("GET", "http://x/ping", 200),
        ("GET", "/invocations", 405),
        ("PUT", "/invocations", 405),
        ("POST", "/ping", 405),
        ("GET", "/nothing", 404),
        ("DELETE", "/", 405),
    ],
)
def test_paths_and_methods(method: str, path: str, status: int) -> None:
    with serving(Lengths()) as running:
        answer = get(running.port, path, method)
    assert answer.status == status
    if status >= 400:
        assert answer.json["code"] == status
        assert answer.json["message"]


def test_errors_have_a_sentence_and_a_bug_has_its_traceback_in_the_log() -> None:
    with serving(Lengths()) as running:
        refused = ask(running.port, b"refuse")
        broken = ask(running.port, b"break")
        split = ask(running.port, b"header")
        assert ask(running.port, b"ok").status == 200
    assert refused.status == 400
    assert refused.json == {
        "code": 400,
        "type": "BadRequestException",
        "message": "this body is refused",
    }
    assert broken.status == 500
    assert "a bug" not in broken.json["message"]
    assert any("RuntimeError: a bug" in complaint for complaint in running.complaints)
    assert split.status == 500
    assert "cannot be sent" in split.json["message"]


def test_a_status_without_a_body_is_sent_without_one() -> None:
    with serving(Lengths()) as running, Wire(running.port) as wire:
        wire.post(b"nothing")
        wire.post(b"abc")
        nothing = wire.answer()
        assert nothing.status == 204
        assert "content-length" not in nothing.headers
        assert wire.answer().json["length"] == 3


def test_the_headers_of_a_model_do_not_speak_for_the_server() -> None:
    with serving(Lengths()) as running, Wire(running.port) as wire:
        wire.post(b"framing")
        answer = wire.answer()
        assert answer.headers == {
            "content-type": "application/json",
            "content-length": "2",
            "a": "b",
            "x-clary-model-us": "0",
        }
        wire.post(b"abc")
        assert wire.answer().json["length"] == 3


def test_one_connection_that_cannot_be_looked_at_does_not_end_the_looking() -> None:
    backend = Lengths(opened=False)
    with serving(backend, replica_settings(deadline_s=1.0)) as running, Wire(running.port) as wire:
        until(lambda: running.server.connections)
        (broken,) = running.server.connections
        broken.check = lambda now: 1 / 0  # type: ignore[method-assign, assignment]
        assert wire.ends()
        assert any("ZeroDivisionError" in text for text in running.complaints)
        assert ask(running.port, b"x").status == 504
        backend.gate.set()


def test_what_is_meant_for_another_replica_is_not_accepted() -> None:
    backend = Lengths()
    with serving(backend, replica_settings()) as running:
        own = replica_settings().instance
        assert ask(running.port, b"x", f"X-Clary-Instance: {own}").status == 200
        refused = ask(running.port, b"x", "X-Clary-Instance: i-0")
        assert (refused.status, refused.headers["x-clary-not-accepted"]) == (503, "another")
        assert "i-0 is meant" in refused.json["message"]


def test_a_web_page_whose_name_leads_here_is_told_nothing() -> None:
    with serving(Lengths()) as running:
        for path in ("/invocations", "/ping", "/metrics", "/"):
            with Wire(running.port) as wire:
                wire.send(f"POST {path} HTTP/1.1\r\nhost: pages.example:80\r\n".encode())
                wire.send(b"content-length: 1\r\n\r\nx")
                answer = wire.answer()
            assert (answer.status, answer.json["code"]) == (421, 421)
            assert "'pages.example:80' is no name of this server" in answer.json["message"]
        assert running.lines[0].startswith("refused 421: 'pages.example:80'")
        assert b"clary_refused_total{" in get(running.port, "/metrics").body


def test_a_server_for_other_machines_has_names_that_it_does_not_know() -> None:
    others = replica_settings().model_copy(update={"address": "0.0.0.0"})
    with serving(Lengths(), others) as running:
        assert ask(running.port, b"x", "Host: pages.example").status == 200


def test_what_fits_no_more_is_refused_at_once() -> None:
    backend = Lengths(capacity=2, opened=False)
    with serving(backend, replica_settings(waiting=3)) as running:
        wires = [Wire(running.port) for _ in range(5)]
        for wire in wires:
            wire.post(b"x")
        until(lambda: b"clary_invocations_in_flight 5" in get(running.port, "/metrics").body)
        refused = ask(running.port, b"x")
        assert refused.status == 503
        assert refused.headers["x-clary-not-accepted"] == "full"
        assert int(refused.headers["retry-after"]) >= 1
        assert "3 invocations wait" in refused.json["message"]
        backend.gate.set()
        assert [wire.answer().status for wire in wires] == [200] * 5
        assert ask(running.port, b"x").status == 200
        for wire in wires:
            wire.socket.close()


def test_an_answer_that_is_late_is_a_504() -> None:
    backend = Lengths(opened=False)
    with serving(backend, replica_settings(deadline_s=1.0)) as running:
        late = ask(running.port, b"x")
        assert late.status == 504
        assert late.headers["x-clary-timed-out"] == "1"
        assert backend.cancelled == 1
        backend.gate.set()
        assert ask(running.port, b"x").status == 200


def test_a_request_may_have_less_time() -> None:
    with serving(Lengths()) as running:
        for said, most in (("5", 5), ("1e9", 60), ("soon", 60), ("-1", 60), ("nan", 60)):
            left = ask(running.port, b"x", f"x-clary-deadline-s: {said}").json["left"]
            assert 0 < left <= most


def test_the_answer_for_a_client_that_has_left_is_given_up() -> None:
    backend = Lengths(opened=False)
    with serving(backend) as running:
        wire = Wire(running.port)
        wire.post(b"x")
        until(lambda: backend.begun == 1)
        wire.socket.close()
        until(lambda: backend.cancelled == 1)
        backend.gate.set()
    assert any(" 499 " in line for line in running.lines)


def test_a_backend_that_is_not_ready_is_told_by_ping_and_gets_nothing() -> None:
    backend = Lengths()
    with serving(backend) as running:
        assert get(running.port, "/ping").json == {"status": "Healthy"}
        backend.health = Health(ready=False, reason="its workers died")
        ping = get(running.port, "/ping")
        assert (ping.status, ping.json["message"]) == (503, "its workers died")
        refused = ask(running.port, b"x")
        assert (refused.status, refused.headers["x-clary-not-accepted"]) == (503, "starting")
        assert backend.begun == 0


def test_shutting_down_answers_what_was_begun_and_refuses_the_rest() -> None:
    backend = Lengths(capacity=2, opened=False)
    with serving(backend) as running:
        waiting = [Wire(running.port) for _ in range(6)]
        for wire in waiting:
            wire.post(b"before")
        half = Wire(running.port)
        half.post(b"12345", length=10)
        idle = Wire(running.port)
        until(lambda: b"clary_invocations_in_flight 6" in get(running.port, "/metrics").body)
        closed = running.begin_to_close()
        until(lambda: running.server.closing)
        for wire in (idle, Wire(running.port)):
            wire.post(b"after")
            refused = wire.answer()
            assert refused.status == 503
            assert refused.headers["x-clary-not-accepted"] == "stopping"
            assert wire.ends()
        assert get(running.port, "/ping").status == 503
        half.send(b"67890")
        until(lambda: backend.begun == 2)
        backend.gate.set()
        assert [wire.answer().status for wire in waiting] == [200] * 6
        assert half.answer().json["length"] == 10
        assert half.ends()
        closed.result(60)
        assert backend.closed
        assert backend.answered == 7
        with pytest.raises(OSError):
            ask(running.port, b"x")


def test_metrics_and_lines_tell_what_happened() -> None:
    with serving(Lengths()) as running:
        threads = [threading.Thread(target=ask, args=(running.port, b"1234")) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        ask(running.port, b"refuse", "x-request-id: my-own")
        text = get(running.port, "/metrics").body.decode()
        lines = running.lines
    values = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    assert values['clary_invocations_total{status="200"}'] == "8"
    assert values['clary_invocations_total{status="400"}'] == "1"
    assert values["clary_request_bytes_total"] == str(8 * 4 + 6)
    assert values["clary_invocation_seconds_count"] == "9"
    assert values['clary_invocation_seconds_bucket{le="+Inf"}'] == "9"
    assert values["clary_model_seconds_count"] == "8"
    assert values["clary_ready"] == "1"
    assert "POST /invocations 400" in lines[-1]
    assert lines[-1].endswith("6 bytes my-own: this body is refused")
    assert len(lines) == 9


def test_the_name_of_a_request_forges_no_line() -> None:
    with serving(Lengths()) as running:
        ask(running.port, b"x", "x-request-id: a 200 1.0 ms")
        until(lambda: running.lines)
    assert running.lines[-1].endswith(' 1 byte "a 200 1.0 ms"')
