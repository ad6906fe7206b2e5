"""HTTP as the protocol sees it: a request before it is understood, and what goes back."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any
from urllib.parse import unquote, unquote_plus

from clary.service.call import ResponseBody


@dataclass(frozen=True)
class HttpRequest:
    """The head of a request, and its body where that does not stream.

    `path` and `query_string` are as they were sent, percent-encoded. The names of `headers` are
    in lower case, their values one character a byte (latin-1), repeated ones joined by commas.
    `received_s` is when the head had come, by `time.perf_counter()`.
    """

    method: str
    path: str
    query_string: str
    headers: Mapping[str, str]
    body: bytes = b""
    received_s: float = field(default_factory=time.perf_counter, compare=False)

    @classmethod
    def from_scope(cls, scope: Mapping[str, Any]) -> HttpRequest:
        """The head that an ASGI server hands over."""
        return cls(
            scope["method"],
            scope["raw_path"].decode("latin-1"),
            scope["query_string"].decode("latin-1"),
            _joined(scope["headers"]),
        )

    def with_body(self, body: bytes) -> HttpRequest:
        """The same request with its body."""
        return replace(self, body=body)

    @cached_property
    def query(self) -> tuple[tuple[str, str], ...]:
        """Names and values in the order sent; a plus sign is a space."""
        return tuple(
            (unquote_plus(name), unquote_plus(value))
            for name, _, value in (part.partition("=") for part in self.query_string.split("&"))
            if name
        )

    @cached_property
    def query_map(self) -> Mapping[str, str]:
        """The query by name; of repeated names the first."""
        return dict(reversed(self.query))

    @property
    def host(self) -> str:
        """The host that the client meant, without a port, in lower case."""
        host = self.headers.get("host", "").lower()
        return host.rpartition("]")[0] + "]" if host.startswith("[") else host.partition(":")[0]

    def text_header(self, name: str) -> str | None:
        """The value of a header that may bear UTF-8."""
        value = self.headers.get(name)
        if value is None or value.isascii():
            return value
        try:
            return value.encode("latin-1").decode("utf-8")
        except UnicodeDecodeError:
            return value


def decoded_path(path: str) -> str:
    """A path without percent-encoding.

    Raises:
        UnicodeDecodeError: its bytes are no UTF-8.
    """
    return unquote(path, errors="strict") if "%" in path else path


@dataclass
class HttpResponse:
    """What goes back. `body` streams when it is a ResponseBody."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | ResponseBody = b""


def _joined(pairs: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for raw_name, raw_value in pairs:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]},{value}" if name in headers else value
    return headers
