"""Names of buckets, and the files that keys stand for. Pure; keys and paths are bytes.

A key such as `photos/cat.jpg` is the file `photos/cat.jpg` of its bucket's folder. Some legal
keys cannot be such a path: `a//b`, `../x`, `folder/`, a segment of 300 bytes, or `a` while `a/b`
is there. They lie aside, under a name from which the key can be read again:

    +<200 characters>/+<200 characters>/=<the rest>

where the characters are the key, percent-encoded; neither `+` nor `=` occurs in them.
"""

from __future__ import annotations

import re
from functools import lru_cache
from urllib.parse import quote_from_bytes, unquote_to_bytes

from clary.object_store.errors import InvalidBucketName, InvalidKey

KEY_LIMIT_BYTES = 1024
# What ext4, XFS, Btrfs and APFS allow for one name.
SEGMENT_LIMIT_BYTES = 255
_CHUNK = 200
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_ADDRESS = re.compile(r"\d+\.\d+\.\d+\.\d+")


def check_bucket_name(name: str) -> None:
    """Hold a name against S3's rules.

    Raises:
        InvalidBucketName: the name breaks one of them.
    """
    if not _BUCKET.fullmatch(name):
        raise InvalidBucketName(
            name,
            "use 3 to 63 lower-case letters, digits, dots and hyphens, "
            "with a letter or digit at both ends",
        )
    if ".." in name:
        raise InvalidBucketName(name, "two dots may not be side by side")
    if _ADDRESS.fullmatch(name):
        raise InvalidBucketName(name, "it may not look like an IP address")


@lru_cache(maxsize=1024)
def is_bucket_name(name: str) -> bool:
    """Whether S3 allows a name."""
    try:
        check_bucket_name(name)
    except InvalidBucketName:
        return False
    return True


def key_bytes(key: str) -> bytes:
    """A key in UTF-8.

    Raises:
        InvalidKey: the key is empty, longer than 1,024 bytes, or not to be written in UTF-8.
    """
    try:
        encoded = key.encode()
    except UnicodeEncodeError as error:
        raise InvalidKey(f"the key {key!r} is not Unicode: {error.reason}", repr(key), 0) from error
    if not encoded:
        raise InvalidKey("a key has at least one character", key, 0)
    if len(encoded) > KEY_LIMIT_BYTES:
        raise InvalidKey(
            f"the key has {len(encoded)} bytes in UTF-8; S3 allows {KEY_LIMIT_BYTES}",
            key,
            len(encoded),
        )
    return encoded


def natural_path(key: bytes) -> bytes | None:
    """The path below the bucket's folder; None where the key can be no path."""
    if b"\0" in key:
        return None
    for segment in key.split(b"/"):
        if segment in {b"", b".", b".."} or len(segment) > SEGMENT_LIMIT_BYTES:
            return None
    return key


def aside_path(key: bytes) -> bytes:
    """The path below the bucket's area aside, whatever the key is."""
    escaped = quote_from_bytes(key, safe="").encode()
    chunks = [escaped[at : at + _CHUNK] for at in range(0, len(escaped), _CHUNK)]
    return b"/".join([*(b"+" + chunk for chunk in chunks[:-1]), b"=" + chunks[-1]])


def key_aside(path: bytes) -> bytes | None:
    """The key that lies at a path aside; None for a file that is no object."""
    *folders, last = path.split(b"/")
    if not last.startswith(b"=") or not all(name.startswith(b"+") for name in folders):
        return None
    key = unquote_to_bytes(b"".join([*(name[1:] for name in folders), last[1:]]))
    return key if key and aside_path(key) == path else None


def successor(prefix: bytes) -> bytes | None:
    """The smallest bytes above everything that begins with `prefix`; None above all."""
    stripped = prefix.rstrip(b"\xff")
    return stripped[:-1] + bytes([stripped[-1] + 1]) if stripped else None
