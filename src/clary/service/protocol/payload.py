"""Bodies that stream, as operations read them: decoded and checked while they come."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from clary.service.call import RequestBody
from clary.service.faults import Fault
from clary.service.protocol import refusals
from clary.service.protocol.aws_chunked import (
    SIGNED_WORDS,
    UNSIGNED_WORDS,
    ByteSource,
    ChunkedPayload,
)
from clary.service.protocol.messages import HttpRequest
from clary.service.protocol.signature import UNSIGNED, Verified
from clary.service.protocol.text_values import natural_number


def open_payload(request: HttpRequest, verified: Verified, source: ByteSource) -> RequestBody:
    """The body of a request whose head was verified.

    Raises:
        Fault: the head names an encoding that is not known, or a length that is none.
    """
    word = verified.payload_hash
    if word in SIGNED_WORDS or word in UNSIGNED_WORDS:
        length = _length(request, "x-amz-decoded-content-length")
        signing = verified.chunks if word in SIGNED_WORDS else None
        return ChunkedPayload(source, length, signing)
    if word.startswith("STREAMING-"):
        raise Fault(
            "NotImplemented",
            f"Clary does not read bodies of the kind {word}: it reads "
            f"{', '.join(sorted(SIGNED_WORDS | UNSIGNED_WORDS))}.",
            501,
        )
    if "aws-chunked" in request.headers.get("content-encoding", "").lower():
        # Taken as it is, the object would have the marks of the encoding in it.
        raise Fault(
            "InvalidArgument",
            "x-amz-content-sha256 must be STREAMING-UNSIGNED-PAYLOAD-TRAILER, "
            "STREAMING-AWS4-HMAC-SHA256-PAYLOAD or STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER "
            "when the Content-Encoding is aws-chunked.",
            members={"ArgumentName": "x-amz-content-sha256", "ArgumentValue": word},
        )
    return PlainPayload(source, _length(request, "content-length"), word)


class PlainPayload:
    """A RequestBody as it comes, checked against the signed hash at its end. One thread's."""

    def __init__(self, source: ByteSource, length: int | None, payload_hash: str) -> None:
        self._source = source
        self._length = length
        self._wanted = None if payload_hash == UNSIGNED else payload_hash.lower()
        self._hash = hashlib.sha256()
        self._given = 0

    @property
    def length(self) -> int | None:
        """Bytes of the payload; None when the client did not say."""
        return self._length

    @property
    def trailers(self) -> Mapping[str, str]:
        """There are none without aws-chunked."""
        return {}

    def read(self, size: int) -> bytes:
        """The next bytes, at most `size`; b"" at the end.

        Raises:
            Fault: the client broke off, or the bytes are not those that were signed.
        """
        if size <= 0:
            return b""
        data = self._source.read(size)
        if data:
            self._given += len(data)
            if self._wanted is not None:
                self._hash.update(data)
            if self._given == self._length:
                self._check_hash()
            return data
        if self._length is not None and self._given != self._length:
            raise Fault(
                "IncompleteBody",
                "You did not provide the number of bytes specified by the Content-Length HTTP "
                "header",
            )
        self._check_hash()
        return b""

    def _check_hash(self) -> None:
        if self._wanted is not None and self._hash.hexdigest() != self._wanted:
            raise refusals.wrong_payload_hash()


def _length(request: HttpRequest, name: str) -> int | None:
    text = request.headers.get(name)
    if text is None:
        return None
    length = natural_number(text)
    if length is None:
        raise Fault("InvalidArgument", f"{name} is {text[:40]!r}: it must be a number of bytes")
    return length
