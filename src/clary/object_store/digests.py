"""Checksums of what goes by: MD5 for the ETag, and those that S3 knows.

Those of parts become one for the object in two ways: a checksum of the checksums (COMPOSITE), or
the checksum of all bytes (FULL_OBJECT), which a CRC allows to compute from those of the parts.
"""

from __future__ import annotations

import hashlib
import zlib
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import Any, Protocol

ALGORITHMS = ("CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256")
COMBINABLE = ("CRC32", "CRC32C", "CRC64NVME")
_ANYCRC_NAMES = {"CRC32": "CRC32", "CRC32C": "CRC32C", "CRC64NVME": "CRC64-NVME"}
_CRC_BYTES = {"CRC32": 4, "CRC32C": 4, "CRC64NVME": 8}


class _Hash(Protocol):
    def update(self, block: bytes, /) -> None: ...

    def digest(self) -> bytes: ...


class _Crc:
    def __init__(self, calculate: Callable[[bytes, int], int], size_bytes: int) -> None:
        self._calculate = calculate
        self._size_bytes = size_bytes
        self._value = 0

    def update(self, block: bytes) -> None:
        self._value = self._calculate(block, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(self._size_bytes, "big")


class Digests:
    """The MD5 and chosen checksums of blocks that are given one after another."""

    def __init__(self, algorithms: Iterable[str] = ()) -> None:
        self.size = 0
        self._md5: _Hash = hashlib.md5(usedforsecurity=False)
        self._others = {algorithm: _new(algorithm) for algorithm in algorithms}

    def update(self, block: bytes) -> None:
        """Take the next block."""
        self.size += len(block)
        self._md5.update(block)
        for other in self._others.values():
            other.update(block)

    @property
    def md5(self) -> bytes:
        """Of all blocks so far."""
        return self._md5.digest()

    @property
    def etag(self) -> str:
        """The MD5 as S3 writes it, without quotes."""
        return self.md5.hex()

    @property
    def checksums(self) -> dict[str, str]:
        """Algorithm → Base64."""
        return {name: b64encode(other.digest()).decode() for name, other in self._others.items()}


def multipart_etag(etags: Sequence[str]) -> str:
    """The MD5 of the parts' MD5s, and their number."""
    joined = b"".join(bytes.fromhex(etag) for etag in etags)
    return f"{hashlib.md5(joined, usedforsecurity=False).hexdigest()}-{len(etags)}"


def composite(algorithm: str, checksums: Sequence[str]) -> str:
    """The checksum of the parts' checksums, and their number."""
    digest = _new(algorithm)
    for checksum in checksums:
        digest.update(b64decode(checksum))
    return f"{b64encode(digest.digest()).decode()}-{len(checksums)}"


def combined(algorithm: str, parts: Iterable[tuple[str, int]]) -> str:
    """The checksum of all bytes from (checksum, size) of each part; CRCs only."""
    model = _anycrc(algorithm)
    value = 0
    for checksum, size in parts:
        value = model.combine(value, int.from_bytes(b64decode(checksum), "big"), size)
    return b64encode(value.to_bytes(_CRC_BYTES[algorithm], "big")).decode()


def _new(algorithm: str) -> _Hash:
    if algorithm == "SHA1":
        return hashlib.sha1(usedforsecurity=False)
    if algorithm == "SHA256":
        return hashlib.sha256()
    if algorithm == "CRC32":
        return _Crc(zlib.crc32, 4)
    return _Crc(_anycrc(algorithm).calc, _CRC_BYTES[algorithm])


@cache
def _anycrc(algorithm: str) -> Any:
    import anycrc

    return anycrc.Model(_ANYCRC_NAMES[algorithm])
