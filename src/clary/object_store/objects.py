"""What a store says about an object, and what it is told when one is put."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import BinaryIO


@dataclass(frozen=True)
class PartInfo:
    """A part of a multipart upload, or of the object it became."""

    number: int
    size: int
    etag: str = ""
    checksums: Mapping[str, str] = field(default_factory=dict)
    modified: datetime | None = None


@dataclass(frozen=True)
class Description:
    """What is kept of an object beside its bytes.

    `headers` are the standard ones by botocore's names (`CacheControl`, `ContentEncoding`, …);
    `checksums` are Base64 by algorithm.
    """

    etag: str = ""
    content_type: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    checksums: Mapping[str, str] = field(default_factory=dict)
    checksum_type: str = "FULL_OBJECT"
    parts: tuple[PartInfo, ...] = ()


@dataclass(frozen=True)
class ObjectInfo:
    """An object as it is now. `path` is its plain file; `etag` is without quotes."""

    bucket: str
    key: str
    size: int
    modified: datetime
    path: Path
    description: Description

    @property
    def etag(self) -> str:
        """The MD5 of the bytes, the multipart form, or a hash of the file's identity."""
        return self.description.etag

    @property
    def content_type(self) -> str:
        """The type that was given, or AWS's default."""
        return self.description.content_type or "binary/octet-stream"

    @property
    def metadata(self) -> Mapping[str, str]:
        """The user's metadata."""
        return self.description.metadata


@dataclass(frozen=True)
class OpenObject:
    """An object and its bytes: they stay what they were when it was opened. Close `file`."""

    info: ObjectInfo
    file: BinaryIO


@dataclass(frozen=True)
class BucketInfo:
    """A bucket. `linked` is the folder that it serves in place, None for a bucket of its own."""

    name: str
    created: datetime
    linked: Path | None


@dataclass(frozen=True)
class Listing:
    """A page of a bucket. `next` is where the following page begins, None on the last one."""

    objects: tuple[ObjectInfo, ...]
    prefixes: tuple[str, ...]
    next: str | None

    @property
    def truncated(self) -> bool:
        """Whether there is more."""
        return self.next is not None


@dataclass(frozen=True)
class UploadInfo:
    """A multipart upload that is under way."""

    id: str
    bucket: str
    key: str
    created: datetime
    description: Description
    algorithm: str | None
    checksum_type: str | None
