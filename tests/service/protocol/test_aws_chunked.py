"""The aws-chunked encoding: AWS's own example, any cutting into pieces, and any damage."""

from __future__ import annotations

import base64
import hashlib
import zlib
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clary.service.faults import Fault
from clary.service.protocol.aws_chunked import ChunkedPayload
from clary.service.protocol.canonical import signature, signing_key
from clary.service.protocol.signature import ChunkSigning

# https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html
SCOPE = "20130524/us-east-1/s3/aws4_request"
KEY = signing_key("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "20130524", "us-east-1", "s3")
SEED = "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9"
SIGNING = ChunkSigning(KEY, "20130524T000000Z", SCOPE, SEED)
EXAMPLE = b"".join(
    (
        b"10000;chunk-signature=ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648",
        b"\r\n" + b"a" * 65536 + b"\r\n",
        b"400;chunk-signature=0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497",
        b"\r\n" + b"a" * 1024 + b"\r\n",
        b"0;chunk-signature=b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9",
        b"\r\n\r\n",
    )
)


class Pieces:
    """A body that comes in pieces of given sizes, over and over."""

    def __init__(self, body: bytes, sizes: list[int]) -> None:
        self.body = body
        self.sizes = (sizes[number % len(sizes)] for number in count())

    def read(self, size: int) -> bytes:
        size = min(size, next(self.sizes))
        data, self.body = self.body[:size], self.body[size:]
        return data


def read_all(payload: ChunkedPayload, size: int = 1 << 16) -> bytes:
    return b"".join(iter(lambda: payload.read(size), b""))


def encode(chunks: list[bytes], trailers: dict[str, str], signing: ChunkSigning | None) -> bytes:
    """The encoding, as the documents describe it."""
    previous = signing.seed if signing else ""
    empty = hashlib.sha256(b"").hexdigest()
    encoded = []
    for chunk in [*chunks, b""]:
        extension = ""
        if signing:
            digest = hashlib.sha256(chunk).hexdigest()
            kind = f"AWS4-HMAC-SHA256-PAYLOAD\n{signing.timestamp}\n{signing.scope}"
            previous = signature(signing.key, f"{kind}\n{previous}\n{empty}\n{digest}")
            extension = f";chunk-signature={previous}"
        encoded.append(f"{len(chunk):x}{extension}\r\n".encode() + chunk + b"\r\n" * bool(chunk))
    lines = "".join(f"{name}:{value}\n" for name, value in trailers.items())
    encoded.append(lines.replace("\n", "\r\n").encode())
    if signing and trailers:
        kind = f"AWS4-HMAC-SHA256-TRAILER\n{signing.timestamp}\n{signing.scope}"
        digest = hashlib.sha256(lines.encode()).hexdigest()
        mark = signature(signing.key, f"{kind}\n{previous}\n{digest}")
        encoded.append(f"x-amz-trailer-signature:{mark}\r\n".encode())
    return b"".join([*encoded, b"\r\n"])


pieces = st.lists(st.integers(1, 40), min_size=1, max_size=5)
bodies = st.lists(st.binary(min_size=1, max_size=60), max_size=5)
signings = st.sampled_from([None, SIGNING])


@given(sizes=st.lists(st.integers(1, 70_000), min_size=1, max_size=4))
def test_the_example_of_the_documents(sizes: list[int]) -> None:
    payload = ChunkedPayload(Pieces(EXAMPLE, [max(sizes), *sizes]), 66560, SIGNING)
    assert read_all(payload) == b"a" * 66560


@given(chunks=bodies, sizes=pieces, step=st.integers(1, 50), signing=signings)
def test_any_cutting_gives_the_same(
    chunks: list[bytes], sizes: list[int], step: int, signing: ChunkSigning | None
) -> None:
    body = b"".join(chunks)
    checksum = base64.b64encode(zlib.crc32(body).to_bytes(4, "big")).decode()
    encoded = encode(chunks, {"x-amz-checksum-crc32": checksum}, signing)
    payload = ChunkedPayload(Pieces(encoded, sizes), len(body), signing)
    assert read_all(payload, step) == body
    assert payload.trailers == {"x-amz-checksum-crc32": checksum}
    assert payload.read(10) == b""


@given(chunks=bodies, sizes=pieces, data=st.data())
def test_no_changed_byte_of_a_signed_body_passes(
    chunks: list[bytes], sizes: list[int], data: st.DataObject
) -> None:
    body = b"".join(chunks)
    encoded = bytearray(encode(chunks, {"x-amz-checksum-crc32": "AAAAAA=="}, SIGNING))
    place = data.draw(st.integers(0, len(encoded) - 1))
    encoded[place] ^= data.draw(st.integers(1, 255))
    payload = ChunkedPayload(Pieces(bytes(encoded), sizes), len(body), SIGNING)
    try:
        read = read_all(payload)
    except Fault:
        return
    # Letters of the framing may be written in more than one way; the content may not.
    assert read == body
    assert payload.trailers == {"x-amz-checksum-crc32": "AAAAAA=="}


@given(chunks=bodies.filter(bool), signing=signings, data=st.data())
def test_a_body_that_breaks_off_is_refused(
    chunks: list[bytes], signing: ChunkSigning | None, data: st.DataObject
) -> None:
    body = b"".join(chunks)
    encoded = encode(chunks, {}, signing)
    last = encoded.rindex(b"\r\n0") + 2
    cut = data.draw(st.integers(0, last))
    payload = ChunkedPayload(Pieces(encoded[:cut], [17]), len(body), signing)
    with pytest.raises(Fault) as caught:
        read_all(payload)
    assert caught.value.code == "IncompleteBody"


def test_another_length_than_announced_is_refused() -> None:
    payload = ChunkedPayload(Pieces(encode([b"four"], {}, None), [100]), 5, None)
    with pytest.raises(Fault, match="x-amz-decoded-content-length"):
        read_all(payload)


def test_what_is_longer_than_announced_is_refused_before_it_is_given() -> None:
    payload = ChunkedPayload(Pieces(encode([b"four", b"five!"], {}, None), [100]), 5, None)
    assert payload.read(100) == b"four"
    with pytest.raises(Fault, match="x-amz-decoded-content-length"):
        payload.read(100)


@pytest.mark.parametrize("start", [b"-5\r\n", b"zz\r\n", b"\r\n", b"5" * 20_000])
def test_a_strange_beginning_is_refused(start: bytes) -> None:
    with pytest.raises(Fault, match="aws-chunked encoding of the body is broken"):
        ChunkedPayload(Pieces(start, [1 << 20]), None, None).read(10)
