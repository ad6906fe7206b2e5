"""The header that names what is copied."""

from __future__ import annotations

from urllib.parse import unquote

from clary.service.operations.s3.faults import invalid_argument


def parse_copy_source(text: str) -> tuple[str, str]:
    """Bucket and key of `bucket/key`, percent-encoded, with or without a slash ahead.

    Raises:
        Fault: it names no object, or a version that is not there.
    """
    path, _, query = text.partition("?")
    if query not in {"", "versionId=null"}:
        raise invalid_argument(
            "Invalid version id specified", "x-amz-copy-source", query.removeprefix("versionId=")
        )
    bucket, _, key = unquote(path).removeprefix("/").partition("/")
    if not bucket or not key or bucket.startswith("arn:"):
        raise invalid_argument(
            "Copy Source must mention the source bucket and key: sourcebucket/sourcekey",
            "x-amz-copy-source",
            text,
        )
    return bucket, key
