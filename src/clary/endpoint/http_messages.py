"""HTTP requests and responses as the server passes them on, and responses as bytes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

# What SageMaker's own model server calls them.
_TYPES = {
    400: "BadRequestException",
    404: "ResourceNotFoundException",
    405: "MethodNotAllowedException",
    406: "NotAcceptableException",
    408: "RequestTimeoutException",
    413: "RequestEntityTooLargeException",
    415: "UnsupportedMediaTypeException",
    431: "RequestHeaderFieldsTooLargeException",
    503: "ServiceUnavailableException",
    504: "GatewayTimeoutException",
}
# It was surely not given to the model: it may be sent again, to another replica too.
NOT_ACCEPTED = "x-clary-not-accepted"
TIMED_OUT = "x-clary-timed-out"
# How many seconds the answer is of use, where that is less than the server's own bound.
DEADLINE = "x-clary-deadline-s"
# How long the model took, in microseconds.
MODEL_US = "x-clary-model-us"
_CONTROLS = dict.fromkeys([*range(9), *range(10, 32), 127])


@dataclass(frozen=True)
class HttpRequest:
    """A whole request. Names of headers are in lower case; of several with one name, the last.

    `began` is when its first byte came, by `time.monotonic()`.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    began: float


@dataclass(frozen=True)
class HttpResponse:
    """What is answered; length and connection are added when it is written."""

    status: int
    body: bytes = b""
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)

    def encode(self, *, keep_alive: bool, without_body: bool = False) -> bytes:
        """The bytes on the wire.

        Args:
            keep_alive: whether another request may follow.
            without_body: for HEAD, which gets the length alone.

        Raises:
            ValueError: a header cannot be sent: it holds a line break, or no Latin-1.
        """
        lines = [
            f"HTTP/1.1 {self.status} {_phrase(self.status)}",
            f"content-type: {self.content_type}",
            f"content-length: {len(self.body)}",
        ]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        if not keep_alive:
            lines.append("connection: close")
        for line in lines:
            if line != line.translate(_CONTROLS):
                raise ValueError(f"a header holds a control character: {line!r}")
        head = "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"
        return head if without_body else head + self.body


def error_response(
    status: int, sentence: str, headers: Mapping[str, str] | None = None
) -> HttpResponse:
    """An error in the form of SageMaker's model server: `code`, `type` and `message`."""
    content = {
        "code": status,
        "type": _TYPES.get(status) or ("InternalServerException" if status >= 500 else _TYPES[400]),
        "message": sentence,
    }
    return HttpResponse(status, json.dumps(content).encode() + b"\n", headers=headers or {})


def not_accepted(sentence: str, retry_after_s: int = 1) -> HttpResponse:
    """A 503 for a request that was not given to the model."""
    return error_response(503, sentence, {"retry-after": str(retry_after_s), NOT_ACCEPTED: "1"})


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""
