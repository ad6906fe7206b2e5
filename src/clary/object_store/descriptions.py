"""Descriptions as JSON in the index, and what is said of a file that has none."""

from __future__ import annotations

import hashlib
import json
import mimetypes
import os
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from clary.object_store.index import ObjectRow
from clary.object_store.objects import Description, ObjectInfo, PartInfo
from clary.object_store.places import Bucket


def encode(description: Description) -> str:
    """As JSON, without what is empty."""
    parts = [[part.number, part.size, dict(part.checksums)] for part in description.parts]
    fields: dict[str, Any] = {
        "etag": description.etag,
        "type": description.content_type,
        "metadata": dict(description.metadata),
        "headers": dict(description.headers),
        "tags": dict(description.tags),
        "checksums": dict(description.checksums),
        "checksum_type": description.checksum_type if description.checksums else None,
        "parts": parts,
    }
    kept = {name: value for name, value in fields.items() if value}
    return json.dumps(kept, ensure_ascii=False, separators=(",", ":"))


def decode(text: str) -> Description:
    """From the JSON of `encode`."""
    fields = json.loads(text)
    return Description(
        etag=fields.get("etag", ""),
        content_type=fields.get("type"),
        metadata=fields.get("metadata", {}),
        headers=fields.get("headers", {}),
        tags=fields.get("tags", {}),
        checksums=fields.get("checksums", {}),
        checksum_type=fields.get("checksum_type") or "FULL_OBJECT",
        parts=tuple(
            PartInfo(number=number, size=size, checksums=checksums)
            for number, size, checksums in fields.get("parts", ())
        ),
    )


def undescribed(key: bytes, state: os.stat_result) -> Description:
    """Of a file that nobody put through the store.

    Its ETag comes from the file's identity and has the form of a multipart one, which no client
    takes for an MD5: listing a folder of a million pictures must not read them.
    """
    identity = f"{state.st_ino}:{state.st_size}:{state.st_mtime_ns}".encode()
    digest = hashlib.md5(identity, usedforsecurity=False).hexdigest()
    guessed, packed = mimetypes.guess_type(key.decode("utf-8", "replace").rpartition("/")[2])
    return Description(etag=f"{digest}-1", content_type=None if packed else guessed)


def agrees(row: ObjectRow, state: os.stat_result) -> bool:
    """Whether a row describes exactly this file."""
    return (
        row.inode == state.st_ino
        and row.mtime_ns == state.st_mtime_ns
        and row.size == state.st_size
        and row.details is not None
    )


def describe(
    bucket: Bucket, key: bytes, state: os.stat_result, row: ObjectRow | None, aside: bool
) -> ObjectInfo:
    """A file as an object: by its row where that describes it, else by what it is."""
    if row is not None and row.details is not None and agrees(row, state):
        description = decode(row.details)
    else:
        description = undescribed(key, state)
    path = bucket.aside_file(key) if aside else bucket.natural_file(key)
    assert path is not None
    return ObjectInfo(
        bucket=bucket.name,
        key=key.decode(),
        size=state.st_size,
        modified=moment(state.st_mtime_ns),
        path=Path(os.fsdecode(path)),
        description=description,
    )


def moment(nanoseconds: int) -> datetime:
    """A time since 1970 in UTC, to the millisecond, as S3 gives it."""
    return datetime.fromtimestamp(nanoseconds // 1_000_000 / 1000, timezone.utc)
