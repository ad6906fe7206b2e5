"""Conditional requests: RFC 9110 as S3 applies it. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from email.utils import format_datetime
from typing import Any

from clary.object_store.objects import ObjectInfo
from clary.service.faults import Fault
from clary.service.operations.s3.faults import no_such_key, not_implemented, precondition_failed


def check_read(parameters: Mapping[str, Any], info: ObjectInfo) -> None:
    """Whether a read may go on.

    Raises:
        Fault: PreconditionFailed, or NotModified.
    """
    failed = _failed(parameters, info)
    if failed in {"If-None-Match", "If-Modified-Since"}:
        raise _not_modified(info)
    if failed is not None:
        raise precondition_failed(failed)


def check_copy(parameters: Mapping[str, Any], info: ObjectInfo) -> None:
    """Whether a source may be copied.

    Raises:
        Fault: PreconditionFailed.
    """
    failed = _failed(parameters, info, "CopySource")
    if failed is not None:
        raise precondition_failed(f"x-amz-copy-source-{failed}")


def _failed(parameters: Mapping[str, Any], info: ObjectInfo, ahead: str = "") -> str | None:
    """The condition that does not hold; `ahead` begins the names of its parameters."""
    wanted = parameters.get(f"{ahead}IfMatch")
    since = parameters.get(f"{ahead}IfUnmodifiedSince")
    if wanted is not None and not _names(wanted, info.etag):
        return "If-Match"
    if wanted is None and since is not None and _is_after(info.modified, since):
        return "If-Unmodified-Since"
    unwanted = parameters.get(f"{ahead}IfNoneMatch")
    if unwanted is not None:
        return "If-None-Match" if _names(unwanted, info.etag) else None
    since = parameters.get(f"{ahead}IfModifiedSince")
    # A time to come is no condition.
    if since is not None and not _is_after(info.modified, since) and since <= _now():
        return "If-Modified-Since"
    return None


def write_condition(
    key: str, wanted: str | None, unwanted: str | None
) -> Callable[[ObjectInfo | None], None] | None:
    """What is asked, under the key's lock, of the object that a write would replace.

    Args:
        key: of the object.
        wanted: If-Match.
        unwanted: If-None-Match.

    Raises:
        Fault: If-None-Match names an ETag; S3 takes `*` only.
    """
    if unwanted is not None and unwanted.strip() != "*":
        raise not_implemented("If-None-Match", "writes take If-None-Match: * only")
    if wanted is None and unwanted is None:
        return None

    def check(info: ObjectInfo | None) -> None:
        if unwanted is not None and info is not None:
            raise precondition_failed("If-None-Match")
        if wanted is not None:
            if info is None:
                raise no_such_key(key)
            if not _names(wanted, info.etag):
                raise precondition_failed("If-Match")

    return check


def delete_condition(
    key: str, *, wanted: str | None, modified: datetime | None, size: int | None
) -> Callable[[ObjectInfo | None], None]:
    """What is asked, under the key's lock, of the object that a delete would remove.

    Args:
        key: of the object.
        wanted: If-Match.
        modified: the time that it must have; an object that is not there fits any.
        size: the bytes that it must have, likewise.
    """

    def check(info: ObjectInfo | None) -> None:
        if wanted is not None:
            if info is None:
                raise no_such_key(key)
            if not _names(wanted, info.etag):
                raise precondition_failed("If-Match")
        if info is None:
            return
        if modified is not None and info.modified.replace(microsecond=0) != modified:
            raise precondition_failed("x-amz-if-match-last-modified-time")
        if size is not None and info.size != size:
            raise precondition_failed("x-amz-if-match-size")

    return check


def _names(header: str, etag: str) -> bool:
    given = [word.strip().removeprefix("W/").strip('"') for word in header.split(",")]
    return "*" in given or etag in given


def _is_after(modified: datetime, since: datetime) -> bool:
    """HTTP's dates have whole seconds."""
    return modified.replace(microsecond=0) > since


def _now() -> datetime:
    return datetime.now(timezone.utc)


def _not_modified(info: ObjectInfo) -> Fault:
    headers = {
        "etag": f'"{info.etag}"',
        "last-modified": format_datetime(info.modified.replace(microsecond=0), usegmt=True),
    }
    return Fault("NotModified", "Not Modified", 304, headers=headers)
