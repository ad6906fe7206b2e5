"""The aws-chunked encoding of uploads: sizes, signatures and trailers between the data.

    400;chunk-signature=<hex>\\r\\n   data \\r\\n ... 0;chunk-signature=<hex>\\r\\n
    x-amz-checksum-crc32:<base64>\\r\\n   x-amz-trailer-signature:<hex>\\r\\n   \\r\\n

https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from typing import Protocol

from clary.service.faults import Fault
from clary.service.protocol import refusals
from clary.service.protocol.canonical import signature
from clary.service.protocol.routing import REST_XML
from clary.service.protocol.signature import ChunkSigning

SIGNED_WORDS = {
    "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
    "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
}
UNSIGNED_WORDS = {"STREAMING-UNSIGNED-PAYLOAD-TRAILER"}
_EMPTY_HASH = hashlib.sha256(b"").hexdigest()
# A line is a size and a signature, or a trailer.
_LINE_LIMIT_BYTES = 16 * 1024
_BLOCK_BYTES = 1 << 18


class ByteSource(Protocol):
    """What comes over the wire: `read` gives at most `size` bytes, and b"" at the end."""

    def read(self, size: int) -> bytes:
        """The next bytes."""


class ChunkedPayload:
    """A RequestBody that takes the encoding off. Used by one thread."""

    def __init__(
        self, source: ByteSource, length: int | None, signing: ChunkSigning | None
    ) -> None:
        self._source = source
        self._signing = signing
        self._previous = signing.seed if signing else ""
        self._buffer = b""
        self._chunk_left = 0
        self._chunk_signature = ""
        self._chunk_hash = hashlib.sha256()
        self._given = 0
        self._ended = False
        self._length = length
        self._trailers: dict[str, str] = {}

    @property
    def length(self) -> int | None:
        """Bytes of the payload without the encoding."""
        return self._length

    @property
    def trailers(self) -> Mapping[str, str]:
        """Headers after the last chunk; complete once `read` has returned b""."""
        return self._trailers

    def read(self, size: int) -> bytes:
        """The next bytes of the payload, at most `size`.

        Raises:
            Fault: the encoding is broken, or a signature is wrong.
        """
        while not self._ended and self._chunk_left == 0:
            self._begin_chunk()
        if self._ended or size <= 0:
            return b""
        data = self._take(min(size, self._chunk_left))
        self._chunk_left -= len(data)
        self._given += len(data)
        if self._signing:
            self._chunk_hash.update(data)
        if self._chunk_left == 0:
            if self._line() != b"":
                raise _broken("a chunk does not end where its size says")
            self._check_chunk()
        return data

    def _begin_chunk(self) -> None:
        size, _, extension = self._line().partition(b";")
        try:
            self._chunk_left = int(size, 16)
        except ValueError as error:
            raise _broken(f"{size[:20]!r} is no chunk size") from error
        if self._chunk_left < 0:
            raise _broken(f"{size[:20]!r} is no chunk size")
        if self._length is not None and self._given + self._chunk_left > self._length:
            raise _other_length()
        name, _, value = extension.partition(b"=")
        self._chunk_signature = value.decode("latin-1") if name == b"chunk-signature" else ""
        self._chunk_hash = hashlib.sha256()
        if self._chunk_left == 0:
            self._check_chunk()
            self._read_trailers()
            self._ended = True
            if self._length is not None and self._given != self._length:
                raise _other_length()

    def _check_chunk(self) -> None:
        if self._signing is None:
            return
        kind = f"AWS4-HMAC-SHA256-PAYLOAD\n{self._signing.timestamp}\n{self._signing.scope}"
        digest = self._chunk_hash.hexdigest()
        self._check(f"{kind}\n{self._previous}\n{_EMPTY_HASH}\n{digest}", self._chunk_signature)

    def _read_trailers(self) -> None:
        signed = b""
        while True:
            line = self._line(at_end=True)
            if not line:
                break
            name, _, value = line.partition(b":")
            key = name.strip().lower().decode("latin-1")
            self._trailers[key] = value.strip().decode("latin-1")
            if key != "x-amz-trailer-signature":
                signed += key.encode("latin-1") + b":" + value.strip() + b"\n"
        given = self._trailers.pop("x-amz-trailer-signature", None)
        if self._signing is not None and (signed or given is not None):
            kind = f"AWS4-HMAC-SHA256-TRAILER\n{self._signing.timestamp}\n{self._signing.scope}"
            digest = hashlib.sha256(signed).hexdigest()
            self._check(f"{kind}\n{self._previous}\n{digest}", given or "")

    def _check(self, text: str, given: str) -> None:
        assert self._signing is not None
        wanted = signature(self._signing.key, text)
        if not hmac.compare_digest(wanted.encode(), given.encode("latin-1", "replace")):
            raise refusals.wrong_signature(REST_XML, "", text)
        self._previous = wanted

    def _take(self, size: int) -> bytes:
        """Some bytes of the chunk, at least one."""
        if not self._buffer:
            self._buffer = self._source.read(max(size, _BLOCK_BYTES))
            if not self._buffer:
                raise _broken("the body ends within a chunk")
        data, self._buffer = self._buffer[:size], self._buffer[size:]
        return data

    def _line(self, *, at_end: bool = False) -> bytes:
        while True:
            line, found, rest = self._buffer.partition(b"\r\n")
            if found:
                self._buffer = rest
                return line
            if len(self._buffer) > _LINE_LIMIT_BYTES:
                raise _broken("a line between chunks is too long")
            more = self._source.read(_BLOCK_BYTES)
            if not more:
                if at_end and not self._buffer:  # some clients leave the last line out
                    return b""
                raise _broken("the body ends within a line between chunks")
            self._buffer += more


def _other_length() -> Fault:
    return Fault(
        "IncompleteBody",
        "You did not provide the number of bytes specified by the "
        "x-amz-decoded-content-length HTTP header",
    )


def _broken(what: str) -> Fault:
    return Fault("IncompleteBody", f"The aws-chunked encoding of the body is broken: {what}.")
