"""Between S3's headers of an object and what the store keeps of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clary.object_store.objects import ObjectInfo
from clary.service.call import Call
from clary.service.faults import Fault

METADATA_LIMIT_BYTES = 2048
_HEADERS = ("CacheControl", "ContentDisposition", "ContentEncoding", "ContentLanguage")
# Kept and given back as labels; the bytes lie on the disk as plain files whatever they say.
_LABELS = ("StorageClass", "WebsiteRedirectLocation", "ServerSideEncryption", "SSEKMSKeyId")


def kept_headers(call: Call) -> dict[str, str]:
    """The standard headers and labels that a request gives an object."""
    kept = {
        name: str(call.parameters[name])
        for name in (*_HEADERS, *_LABELS)
        if call.parameters.get(name) is not None
    }
    words = [word.strip() for word in kept.pop("ContentEncoding", "").split(",")]
    encodings = [word for word in words if word and word.lower() != "aws-chunked"]
    if encodings:
        kept["ContentEncoding"] = ",".join(encodings)
    if kept.get("StorageClass") == "STANDARD":
        del kept["StorageClass"]
    if "expires" in call.headers:
        kept["Expires"] = call.headers["expires"]
    return kept


def kept_metadata(parameters: Mapping[str, Any]) -> dict[str, str]:
    """The user's metadata of a request, under names in lower case.

    Raises:
        Fault: there is more than S3 allows.
    """
    metadata = {name.lower(): value for name, value in (parameters.get("Metadata") or {}).items()}
    size = sum(len(name.encode()) + len(value.encode()) for name, value in metadata.items())
    if size > METADATA_LIMIT_BYTES:
        raise Fault(
            "MetadataTooLarge",
            "Your metadata headers exceed the maximum allowed metadata size",
            members={"Size": size, "MaxSizeAllowed": METADATA_LIMIT_BYTES},
        )
    return metadata


def object_members(info: ObjectInfo) -> dict[str, Any]:
    """The members that GetObject and HeadObject share, of the whole object."""
    headers = info.description.headers
    members: dict[str, Any] = {
        "AcceptRanges": "bytes",
        "LastModified": info.modified,
        "ETag": quoted(info.etag),
        "ContentType": info.content_type,
        "Metadata": dict(info.metadata),
        **{name: headers[name] for name in (*_HEADERS, *_LABELS) if name in headers},
    }
    if info.description.tags:
        members["TagCount"] = len(info.description.tags)
    return members


def plain_headers(info: ObjectInfo) -> dict[str, str]:
    """Headers that are sent back letter by letter, since any text is allowed in them."""
    expires = info.description.headers.get("Expires")
    return {} if expires is None else {"expires": expires}


def label_members(headers: Mapping[str, str]) -> dict[str, str]:
    """The labels that an answer to a write repeats."""
    names = ("ServerSideEncryption", "SSEKMSKeyId")
    return {name: headers[name] for name in names if name in headers}


def quoted(etag: str) -> str:
    """As it stands in headers and listings."""
    return f'"{etag}"'
