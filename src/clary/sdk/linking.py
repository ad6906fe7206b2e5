"""Folders of this machine as buckets: nothing is copied, and nothing can be written to them."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from clary.sdk.session import Session

_BUCKET_LIMIT = 63


def bucket_of(folder: Path) -> str:
    """The bucket in which a folder is served: always the same one for the same path."""
    path = folder.absolute()
    digest = hashlib.sha256(str(path).encode("utf-8", "surrogateescape")).hexdigest()[:10]
    words = re.sub(r"[^a-z0-9]+", "-", path.name.lower()).strip("-") or "folder"
    return f"{words[: _BUCKET_LIMIT - len(digest) - 1].rstrip('-')}-{digest}"


def link(session: Session, folder: Path) -> str:
    """Serve a folder in place; done before, nothing changes.

    Returns:
        Its S3 URI, ending in `/`.

    Raises:
        UsageError: the session is not with Clary on this machine.
        ServiceError: the folder cannot be served.
    """
    bucket = bucket_of(folder)
    session.link_folder(bucket, folder)
    return f"s3://{bucket}/"
