"""Fetches a picture that a request names by its URL, where the endpoint allows it."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from urllib.parse import SplitResult, urljoin, urlsplit

from clary.endpoint.invocation import Refusal

_CONNECTIONS = {"http": HTTPConnection, "https": HTTPSConnection}
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MOST_REDIRECTS = 5
_BLOCK_BYTES = 1 << 16


class _TooMuch(Exception):
    """The answer is larger than the bound."""


def fetch_picture(url: str, max_bytes: int, seconds: float, *, deadline: float) -> bytes:
    """The bytes behind a URL.

    Args:
        url: http or https; redirects are followed to the same two.
        max_bytes: more is refused.
        seconds: for all of it.
        deadline: of the invocation, by `time.monotonic()`; whatever ends first counts.

    Raises:
        Refusal: 400, it cannot be fetched, or not within these bounds.
    """
    shown = url[:200]
    until = min(time.monotonic() + seconds, deadline)
    try:
        for _ in range(1 + _MOST_REDIRECTS):
            following, content = _ask(_parts(url), max_bytes, until)
            if following is None:
                return content
            url = urljoin(url, following)
    except _TooMuch as error:
        raise Refusal(
            400, f"behind the URL {shown!r} lie over {max_bytes:,} bytes, which is the bound"
        ) from error
    except (HTTPException, OSError, ValueError) as error:
        reason = str(error)[:200] or type(error).__name__
        if time.monotonic() >= until:
            reason = f"it took over {seconds:g} s"
        raise Refusal(400, f"the URL {shown!r} cannot be fetched: {reason}") from error
    raise Refusal(400, f"the URL {shown!r} leads from one to the next over {_MOST_REDIRECTS} times")


def _parts(url: str) -> SplitResult:
    parts = urlsplit(url)
    if parts.scheme not in _CONNECTIONS or not parts.hostname:
        raise ValueError("it is none of http or https")
    return parts


def _ask(parts: SplitResult, max_bytes: int, until: float) -> tuple[str | None, bytes]:
    """Where to ask instead, and the content where it is here."""
    left = until - time.monotonic()
    if left <= 0:
        raise TimeoutError
    assert parts.hostname is not None
    connection = _CONNECTIONS[parts.scheme](parts.hostname, parts.port, timeout=left)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    try:
        connection.connect()
        with _ended(connection.sock, until):
            connection.request("GET", path, headers={"user-agent": "clary", "accept": "image/*"})
            response = connection.getresponse()
            following = response.getheader("location")
            if response.status in _REDIRECTS and following:
                return following, b""
            if response.status != 200:
                raise HTTPException(f"its server answers {response.status} {response.reason}")
            content = _content(response, max_bytes)
            if time.monotonic() >= until:
                # Cut off, which looks like an end where the length was not announced.
                raise TimeoutError
            return None, content
    finally:
        connection.close()


def _content(response: HTTPResponse, max_bytes: int) -> bytes:
    content = bytearray()
    while block := response.read(min(_BLOCK_BYTES, max_bytes + 1 - len(content))):
        content += block
        if len(content) > max_bytes:
            raise _TooMuch
    if response.length:
        raise HTTPException("its server ended before the picture did")
    return bytes(content)


@contextmanager
def _ended(connected: socket.socket, until: float) -> Iterator[None]:
    """Cut the connection at a time: a server that sends a byte now and then keeps no thread."""

    def cut() -> None:
        with suppress(OSError):
            connected.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(max(0.0, until - time.monotonic()), cut)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
