"""A request as operations see it, and what they may answer with."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol


class RequestBody(Protocol):
    """The payload of an operation whose input streams, such as PutObject.

    Owned by the request; read on the thread that runs the operation, and by nobody else.
    Any encoding of the transfer (aws-chunked) is removed and its signatures and trailers are
    checked before `read` hands out the last block.
    """

    @property
    def length(self) -> int | None:
        """Bytes of the decoded payload; None when the client did not say."""

    @property
    def trailers(self) -> Mapping[str, str]:
        """Headers after the payload, in lower case; complete once `read` has returned b""."""

    def read(self, size: int) -> bytes:
        """The next bytes, at most `size`; b"" at the end.

        Raises:
            Fault: the client broke off, or what came does not agree with its checksum or
                signature.
        """


class ResponseBody(Protocol):
    """A payload that is sent while it is read. `close` is called once, however sending ends."""

    @property
    def length(self) -> int:
        """Bytes that `blocks` will give in all."""

    def blocks(self) -> Iterator[bytes]:
        """The payload, block by block."""

    def close(self) -> None:
        """Let go of what is behind it."""


@dataclass(frozen=True)
class Call:
    """One request: authenticated, parsed and validated.

    `service` and the keys of `parameters` are botocore's names; timestamps are aware datetimes,
    blobs are bytes. `headers` are in lower case. `body` is there only when the operation's input
    streams. `caller_arn` is who signed the request. `received_s` is when its head had come, by
    `time.perf_counter()`.
    """

    service: str
    operation: str
    parameters: Mapping[str, Any]
    request_id: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: RequestBody | None = None
    caller_arn: str = ""
    received_s: float = field(default_factory=time.perf_counter, compare=False)


@dataclass(frozen=True)
class Answer:
    """What an operation returns when members of its output shape are not enough.

    `status` replaces the model's HTTP status (206, 304); `headers` are sent besides the model's.
    """

    members: Mapping[str, Any]
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
