"""Fetches a picture that a request names by its URL, where the endpoint allows it."""

from __future__ import annotations

import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import contextmanager, suppress
from functools import cache
from http.client import HTTPConnection, HTTPException, HTTPResponse
from typing import Any
from urllib.parse import SplitResult, quote, urljoin, urlsplit

from clary.endpoint.invocation import Refusal

_PORTS = {"http": 80, "https": 443}
# What a URL may hold as it is; the rest is written with per cent signs.
_IN_PATHS = "/%:@!$&'()*+,;=~?"
# The system's resolver knows no bound of time: a dead one holds these and nobody else.
_RESOLVERS = ThreadPoolExecutor(16, "resolve")
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MOST_REDIRECTS = 5
_BLOCK_BYTES = 1 << 16


class _TooMuch(Exception):
    """The answer is larger than the bound."""


def fetch_picture(
    url: str, max_bytes: int, seconds: float, *, deadline: float, private: bool = False
) -> bytes:
    """The bytes behind a URL.

    Args:
        url: http or https; redirects are followed to the same two.
        max_bytes: more is refused.
        seconds: for all of it.
        deadline: of the invocation, by `time.monotonic()`; whatever ends first counts.
        private: whether the URL, and where it leads, may be at an address that is not the
            internet's: this machine's, its network's, or that of a cloud's own services.

    Raises:
        Refusal: 400, it cannot be fetched, or not within these bounds.
    """
    shown = url[:200]
    until = min(time.monotonic() + seconds, deadline)
    try:
        for _ in range(1 + _MOST_REDIRECTS):
            following, content = _ask(_parts(url), max_bytes, until, private=private)
            if following is None:
                return content
            url = urljoin(url, following)
    except _TooMuch as error:
        raise Refusal(
            400, f"behind the URL {shown!r} lie over {max_bytes:,} bytes, which is the bound"
        ) from error
    except (HTTPException, OSError, ValueError, FutureTimeout) as error:
        reason = str(error)[:200] or type(error).__name__
        if time.monotonic() >= until:
            late = until == deadline
            reason = "the request's time is over" if late else f"it took over {seconds:g} s"
        raise Refusal(400, f"the URL {shown!r} cannot be fetched: {reason}") from error
    raise Refusal(400, f"the URL {shown!r} leads from one to the next over {_MOST_REDIRECTS} times")


def _parts(url: str) -> SplitResult:
    parts = urlsplit(url)
    if parts.scheme not in _PORTS or not parts.hostname:
        raise ValueError("it is none of http or https")
    return parts


def _ask(
    parts: SplitResult, max_bytes: int, until: float, *, private: bool
) -> tuple[str | None, bytes]:
    """Where to ask instead, and the content where it is here."""
    assert parts.hostname is not None
    host = parts.hostname if ":" in parts.hostname else parts.hostname.encode("idna").decode()
    port = parts.port or _PORTS[parts.scheme]
    connection = HTTPConnection(host, port)
    connected = _connected(_addresses(host, port, until, private=private), until)
    try:
        with _ended(connected, until):
            if parts.scheme == "https":
                connected = _tls().wrap_socket(connected, server_hostname=host)
            connection.sock = connected
            path = quote(parts.path or "/", _IN_PATHS)
            query = f"?{quote(parts.query, _IN_PATHS)}" if parts.query else ""
            fields = {"host": _host(parts, host), "user-agent": "clary", "accept": "image/*"}
            connection.request("GET", path + query, headers=fields)
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
        connected.close()


def _addresses(host: str, port: int, until: float, *, private: bool) -> list[tuple[int, Any]]:
    """The families and addresses of a host, as sockets connect to them."""
    looking = _RESOLVERS.submit(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
    try:
        found = looking.result(_left(until))
    finally:
        looking.cancel()
    # The address that was looked at is connected to: a second look may find another.
    addresses: list[tuple[int, Any]] = [(family, address) for family, _, _, _, address in found]
    if not private:
        addresses = [pair for pair in addresses if _is_public(str(pair[1][0]))]
    if not addresses:
        raise OSError(
            f"{host} is not at an address of the internet, and others are not asked: set "
            "CLARY_ALLOW_PRIVATE_URLS=1 in the model's environment"
        )
    return addresses


def _is_public(address: str) -> bool:
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        # Other ways to write an address of IPv4.
        found = found.ipv4_mapped or found.sixtofour or found
    return found.is_global and not found.is_multicast


def _connected(addresses: list[tuple[int, Any]], until: float) -> socket.socket:
    """A connection to the first that takes one."""
    failure: OSError | None = None
    for family, address in addresses:
        connecting = socket.socket(family, socket.SOCK_STREAM)
        try:
            connecting.settimeout(_left(until))
            connecting.connect(address)
        except OSError as error:
            connecting.close()
            failure = error
        else:
            return connecting
    raise failure or TimeoutError


def _left(until: float) -> float:
    left = until - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


@cache
def _tls() -> ssl.SSLContext:
    return ssl.create_default_context()


def _host(parts: SplitResult, host: str) -> str:
    shown = f"[{host}]" if ":" in host else host
    return f"{shown}:{parts.port}" if parts.port else shown


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
