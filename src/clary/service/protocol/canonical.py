"""What SigV4 signs: the canonical form of a request, and the keys derived for it.

https://docs.aws.amazon.com/IAM/latest/UserGuide/create-signed-request.html
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Sequence
from functools import lru_cache
from posixpath import normpath
from urllib.parse import quote, unquote_to_bytes

from clary.service.protocol.messages import HttpRequest

_UNRESERVED = "-_.~"
_SPACES = re.compile(r"[ \t]+")


def canonical_request(
    request: HttpRequest, signed_headers: Sequence[str], payload_hash: str, *, s3: bool
) -> bytes:
    """The canonical form, in the bytes that were sent.

    Args:
        request: the request; a presigned one's own signature is left out.
        signed_headers: names in lower case, in the order that the client gives.
        payload_hash: a digest in hex, or one of the words that stand for it.
        s3: S3 takes paths as they are and encodes them once; every other service removes dots
            and encodes twice.
    """
    headers = "".join(
        f"{name}:{collapsed(request.headers.get(name, ''))}\n" for name in signed_headers
    )
    parts = (
        request.method,
        canonical_path(request.path, s3=s3),
        canonical_query(request.query_string),
        headers,
        ";".join(signed_headers),
        payload_hash,
    )
    return "\n".join(parts).encode("latin-1")


def collapsed(value: str) -> str:
    """A header's value as it is signed. Bytes of UTF-8 that look like spaces are none."""
    value = value.strip(" \t")
    return _SPACES.sub(" ", value) if "  " in value or "\t" in value else value


def canonical_path(path: str, *, s3: bool) -> str:
    """The path as it is signed."""
    if s3:
        return (
            quote(unquote_to_bytes(path), safe="/" + _UNRESERVED)
            if "%" in path
            else (quote(path.encode("latin-1"), safe="/" + _UNRESERVED))
        )
    trailing = "/" if path.endswith("/") and path != "/" else ""
    clean = normpath("/" + path.lstrip("/"))
    return quote(clean.encode("latin-1"), safe="/~") + (trailing if clean != "/" else "")


def canonical_query(query_string: str) -> str:
    """The query as it is signed: encoded afresh and in order, without the signature."""
    if not query_string:
        return ""
    pairs = []
    for part in query_string.split("&"):
        name, _, value = part.partition("=")
        if name and name != "X-Amz-Signature":
            pairs.append((_encoded(name), _encoded(value)))
    return "&".join(f"{name}={value}" for name, value in sorted(pairs))


def string_to_sign(timestamp: str, scope: str, canonical: bytes) -> str:
    """What the signature of a request is made of."""
    digest = hashlib.sha256(canonical).hexdigest()
    return f"AWS4-HMAC-SHA256\n{timestamp}\n{scope}\n{digest}"


@lru_cache(maxsize=64)
def signing_key(secret: str, date: str, region: str, service: str) -> bytes:
    """The key for one day, region and service."""
    key = f"AWS4{secret}".encode()
    for part in (date, region, service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key


def signature(key: bytes, text: str) -> str:
    """The signature of a text, in hex."""
    return hmac.digest(key, text.encode("utf-8"), "sha256").hex()


def _encoded(text: str) -> str:
    if text.isalnum() and text.isascii():
        return text
    return quote(unquote_to_bytes(text.replace("+", " ")), safe=_UNRESERVED)
