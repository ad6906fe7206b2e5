"""ListObjects, ListObjectsV2 and ListObjectVersions."""

from __future__ import annotations

from base64 import b64decode, urlsafe_b64encode
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

from clary.object_store.objects import Listing, ObjectInfo
from clary.service.call import Call
from clary.service.office import Handler, Office
from clary.service.operations.s3.buckets import owner
from clary.service.operations.s3.describing import quoted
from clary.service.operations.s3.faults import invalid_argument

PAGE = 1000


def list_objects_v2(office: Office, call: Call) -> Mapping[str, Any]:
    """A page of a bucket; the token leads to the next one."""
    parameters = call.parameters
    token = parameters.get("ContinuationToken")
    after = _opened(token) if token is not None else parameters.get("StartAfter") or ""
    page, encode = _page(office, parameters, after, continued=token is not None)
    shown = [_entry(info, encode) for info in page.objects]
    if parameters.get("FetchOwner"):
        shown = [{**entry, "Owner": owner(office)} for entry in shown]
    return {
        **_head(parameters, page, encode),
        "Contents": shown,
        "KeyCount": len(page.objects) + len(page.prefixes),
        "ContinuationToken": token,
        "NextContinuationToken": None if page.next is None else _sealed(page.next),
        "StartAfter": _maybe(parameters.get("StartAfter"), encode),
    }


def list_objects(office: Office, call: Call) -> Mapping[str, Any]:
    """A page of a bucket, as before there were tokens."""
    parameters = call.parameters
    marker = parameters.get("Marker") or ""
    page, encode = _page(office, parameters, marker, continued=False)
    # S3 gives NextMarker only beside a delimiter; without one the last key is the marker.
    following = page.next if parameters.get("Delimiter") else None
    return {
        **_head(parameters, page, encode),
        "Contents": [{**_entry(info, encode), "Owner": owner(office)} for info in page.objects],
        "Marker": encode(marker),
        "NextMarker": _maybe(following, encode),
    }


def list_object_versions(office: Office, call: Call) -> Mapping[str, Any]:
    """A page of a bucket in which each object has the one version `null`."""
    parameters = call.parameters
    marker = parameters.get("KeyMarker") or ""
    page, encode = _page(office, parameters, marker, continued=False)
    own = {"VersionId": "null", "IsLatest": True, "Owner": owner(office)}
    return {
        **_head(parameters, page, encode),
        "Versions": [{**_entry(info, encode), **own} for info in page.objects],
        "KeyMarker": encode(marker),
        "VersionIdMarker": parameters.get("VersionIdMarker") or "",
        "NextKeyMarker": _maybe(page.next, encode),
        "NextVersionIdMarker": None if page.next is None else "null",
    }


def _page(
    office: Office, parameters: Mapping[str, Any], after: str, *, continued: bool
) -> tuple[Listing, Callable[[str], str]]:
    page = office.store.list(
        parameters["Bucket"],
        prefix=parameters.get("Prefix") or "",
        delimiter=parameters.get("Delimiter") or "",
        after=after,
        limit=page_size(parameters, "MaxKeys"),
        continued=continued,
    )
    return page, encoder(parameters)


def page_size(parameters: Mapping[str, Any], name: str) -> int:
    """How many entries an answer may have.

    Raises:
        Fault: the parameter is negative.
    """
    wanted = parameters.get(name)
    if wanted is not None and wanted < 0:
        argument = {"MaxKeys": "max-keys", "MaxUploads": "max-uploads", "MaxParts": "max-parts"}
        raise invalid_argument(
            "Argument maxKeys must be an integer between 0 and 2147483647", argument[name], wanted
        )
    return PAGE if wanted is None else min(wanted, PAGE)


def encoder(parameters: Mapping[str, Any]) -> Callable[[str], str]:
    """How keys are written: XML cannot hold every character that a key may have."""
    if parameters.get("EncodingType") == "url":
        return lambda text: quote(text, safe="/-_.~")
    return lambda text: text


def _head(
    parameters: Mapping[str, Any], page: Listing, encode: Callable[[str], str]
) -> dict[str, Any]:
    return {
        "Name": parameters["Bucket"],
        "Prefix": encode(parameters.get("Prefix") or ""),
        "Delimiter": _maybe(parameters.get("Delimiter"), encode),
        "MaxKeys": page_size(parameters, "MaxKeys"),
        "EncodingType": parameters.get("EncodingType"),
        "IsTruncated": page.truncated,
        "CommonPrefixes": [{"Prefix": encode(prefix)} for prefix in page.prefixes],
    }


def _entry(info: ObjectInfo, encode: Callable[[str], str]) -> dict[str, Any]:
    description = info.description
    entry: dict[str, Any] = {
        "Key": encode(info.key),
        "LastModified": info.modified,
        "ETag": quoted(info.etag),
        "Size": info.size,
        "StorageClass": description.headers.get("StorageClass", "STANDARD"),
    }
    if description.checksums:
        entry["ChecksumAlgorithm"] = list(description.checksums)
        entry["ChecksumType"] = description.checksum_type
    return entry


def _maybe(text: str | None, encode: Callable[[str], str]) -> str | None:
    return None if text is None else encode(text)


def _sealed(key: str) -> str:
    return urlsafe_b64encode(key.encode()).decode()


def _opened(token: str) -> str:
    try:
        return b64decode(token.encode(), altchars=b"-_", validate=True).decode()
    except ValueError as error:
        raise invalid_argument(
            "The continuation token provided is incorrect", "continuation-token", token
        ) from error


OPERATIONS: dict[str, Handler] = {
    "ListObjectsV2": list_objects_v2,
    "ListObjects": list_objects,
    "ListObjectVersions": list_object_versions,
}
