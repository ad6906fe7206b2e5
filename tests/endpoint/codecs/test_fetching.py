from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from clary.endpoint.codecs import Limits, decode_request
from clary.endpoint.codecs.fetching import fetch_picture
from clary.endpoint.invocation import Invocation, Refusal

CONTENT = b"a picture, as it were"


class Pictures(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/slow":
            self.send_response(200)
            self.end_headers()
            try:
                while True:
                    self.wfile.write(b".")
                    time.sleep(0.05)
            except OSError:
                return
        elif self.path == "/round":
            self.moved("/round")
        elif self.path == "/moved?to=here":
            self.moved("/picture")
        elif self.path == "/file":
            self.moved("file:///etc/passwd")
        elif self.path == "/short":
            self.send_response(200)
            self.send_header("content-length", "1000")
            self.end_headers()
            self.wfile.write(CONTENT)
        elif self.path in {"/picture", "/h%C3%BCndin.jpg?gro%C3%9F=%7b1%7d"}:
            self.send_response(200)
            self.send_header("content-length", str(len(CONTENT)))
            self.end_headers()
            self.wfile.write(CONTENT)
        else:
            self.send_error(404)

    def moved(self, place: str) -> None:
        self.send_response(302)
        self.send_header("location", place)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Pictures)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def fetch(
    url: str,
    max_bytes: int = 1000,
    seconds: float = 20,
    *,
    deadline_s: float = 60,
    private: bool = True,
) -> bytes:
    deadline = time.monotonic() + deadline_s
    return fetch_picture(url, max_bytes, seconds, deadline=deadline, private=private)


@pytest.mark.parametrize(
    "path",
    ["/picture", "/moved?to=here", "/hündin.jpg?groß=%7b1%7d", "/h%C3%BCndin.jpg?groß=%7b1%7d"],
)
def test_a_picture_is_fetched(address, path):
    assert fetch(address + path) == CONTENT
    assert fetch(address + path, max_bytes=len(CONTENT)) == CONTENT


def test_a_request_may_name_a_picture_where_that_is_allowed(address):
    body = json.dumps({"url": f"{address}/picture"}).encode()
    invocation = Invocation(body, "application/json", "", time.monotonic() + 20)
    limits = Limits(allow_urls=True, private_urls=True)
    assert decode_request(invocation, limits) == [CONTENT]
    with pytest.raises(Refusal, match="fetches no URLs"):
        decode_request(invocation, Limits())


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("/nothing", "answers 404"),
        ("/round", "over 5 times"),
        ("/file", "none of http or https"),
        ("/short", "IncompleteRead|ended before"),
    ],
)
def test_what_cannot_be_fetched_is_refused(address, path, says):
    with pytest.raises(Refusal, match=says) as caught:
        fetch(address + path)
    assert caught.value.status == 400


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "ftp://127.0.0.1/a", "", "http://", "//x", "http://[", "data:,x"]
)
def test_only_the_web_is_asked(url):
    with pytest.raises(Refusal) as caught:
        fetch(url)
    assert caught.value.status == 400


def test_more_than_the_bound_is_refused(address):
    with pytest.raises(Refusal, match="over 20 bytes"):
        fetch(f"{address}/picture", max_bytes=20)


def test_a_server_that_sends_a_byte_now_and_then_keeps_nobody(address):
    with pytest.raises(Refusal, match=r"it took over 0\.5 s"):
        fetch(f"{address}/slow", max_bytes=1 << 20, seconds=0.5)


def test_the_time_of_the_request_is_named_where_that_is_over(address):
    with pytest.raises(Refusal, match="the request's time is over"):
        fetch(f"{address}/slow", max_bytes=1 << 20, deadline_s=0.5)


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "0.0.0.0",
        "10.0.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "224.0.0.1",
        "[::1]",
        "[fe80::1]",
        "[::ffff:127.0.0.1]",
        "[2002:7f00:1::]",
        "2130706433",
    ],
)
def test_only_the_internet_is_asked_unless_more_is_allowed(address, host):
    port = address.rpartition(":")[2]
    with pytest.raises(Refusal, match="not at an address of the internet") as caught:
        fetch(f"http://{host}:{port}/picture", private=False)
    assert caught.value.status == 400


def test_what_is_fetched_for_one_request_is_bounded_in_all(address):
    body = json.dumps([{"url": f"{address}/picture"}] * 3).encode()
    invocation = Invocation(body, "application/json", "", time.monotonic() + 20)
    size = len(CONTENT)
    limits = Limits(allow_urls=True, private_urls=True, urls_bytes=3 * size)
    assert decode_request(invocation, limits) == [CONTENT] * 3
    limits = Limits(allow_urls=True, private_urls=True, urls_bytes=3 * size - 1)
    with pytest.raises(Refusal, match=f"over {size - 1} bytes"):
        decode_request(invocation, limits)
