"""HTTP requests and responses as the server passes them on, and responses as bytes."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from http import HTTPStatus
from typing import Literal

# What SageMaker's own model server calls them.
_TYPES = {
    400: "BadRequestException",
    403: "AccessDeniedException",
    404: "ResourceNotFoundException",
    405: "MethodNotAllowedException",
    406: "NotAcceptableException",
    408: "RequestTimeoutException",
    413: "RequestEntityTooLargeException",
    415: "UnsupportedMediaTypeException",
    421: "MisdirectedRequestException",
    431: "RequestHeaderFieldsTooLargeException",
    503: "ServiceUnavailableException",
    504: "GatewayTimeoutException",
}
# It was surely not given to the model: it may be sent again, to another replica too.
NOT_ACCEPTED = "x-clary-not-accepted"
# As many wait as may; the model is not there yet, or not any more; the server ends; another replica
# is meant, which had this port before.
WhyNot = Literal["full", "starting", "stopping", "another"]
INSTANCE = "x-clary-instance"
TIMED_OUT = "x-clary-timed-out"
# How many seconds the answer is of use, where that is less than the server's own bound.
DEADLINE = "x-clary-deadline-s"
# How long the model took, in microseconds.
MODEL_US = "x-clary-model-us"
# Clients look for no body behind these, and would take one for the next answer.
_WITHOUT_BODY = frozenset({204, 304})
_NO_NAME = re.compile(r"[^!#$%&'*+\-.^_`|~0-9A-Za-z]")
_NO_VALUE = re.compile(r"[^\t\x20-\x7e\x80-\xff]")


@dataclass(frozen=True)
class HttpRequest:
    """A whole request. Names of headers are in lower case; of several with one name, the last.

    `began` is when its first byte came, by `time.monotonic()`. `is_old` is one of HTTP/1.0.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    began: float
    is_old: bool = False


@dataclass(frozen=True)
class HttpResponse:
    """What is answered; length and connection are added when it is written.

    `sentence` is what an error says, for the log.
    """

    status: int
    body: bytes = b""
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    sentence: str = ""

    @property
    def content(self) -> bytes:
        """The body as it is sent: none with a status that has none."""
        return b"" if self.status in _WITHOUT_BODY else self.body

    def head(self, *, keep_alive: bool, keeps_by_itself: bool = True) -> bytes:
        """What is sent before the body.

        Args:
            keep_alive: whether another request may follow.
            keeps_by_itself: whether the client takes that for granted, as HTTP/1.0 does not.
        """
        head = _first_line(self.status)
        if self.status not in _WITHOUT_BODY:
            head += f"content-type: {self.content_type}\r\ncontent-length: {len(self.body)}\r\n"
        for name, value in self.headers.items():
            head += f"{name}: {value}\r\n"
        if not keep_alive:
            head += "connection: close\r\n"
        elif not keeps_by_itself:
            head += "connection: keep-alive\r\n"
        return (head + "\r\n").encode("latin-1")

    def encode(self, *, keep_alive: bool) -> bytes:
        """All its bytes on the wire."""
        return self.head(keep_alive=keep_alive) + self.content


def check_header(name: str, value: str) -> None:
    """Refuse what cannot be sent as a header.

    Raises:
        ValueError: it holds a line break or the like, or no Latin-1.
    """
    if _NO_NAME.search(name) or _NO_VALUE.search(value) or not name:
        raise ValueError(f"the header {name!r} cannot be {value[:200]!r}")


def error_response(
    status: int, sentence: str, headers: Mapping[str, str] | None = None
) -> HttpResponse:
    """An error in the form of SageMaker's model server: `code`, `type` and `message`."""
    content = {
        "code": status,
        "type": _TYPES.get(status) or ("InternalServerException" if status >= 500 else _TYPES[400]),
        "message": sentence,
    }
    return HttpResponse(
        status, json.dumps(content).encode() + b"\n", headers=headers or {}, sentence=sentence
    )


def not_accepted(why: WhyNot, sentence: str, retry_after_s: int = 1) -> HttpResponse:
    """A 503 for a request that was not given to the model."""
    return error_response(503, sentence, {"retry-after": str(retry_after_s), NOT_ACCEPTED: why})


@cache
def _first_line(status: int) -> str:
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = ""
    return f"HTTP/1.1 {status} {phrase}\r\n"
