"""CopyObject."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clary.object_store.objects import Description, ObjectInfo
from clary.service.call import Call
from clary.service.office import Handler, Office
from clary.service.operations.s3.checksums import check_algorithm, checksum_members
from clary.service.operations.s3.conditions import check_copy, write_condition
from clary.service.operations.s3.copy_source import parse_copy_source
from clary.service.operations.s3.describing import (
    kept_headers,
    kept_metadata,
    label_members,
    quoted,
)
from clary.service.operations.s3.faults import invalid_request
from clary.service.operations.s3.tags import tags_of_header

LARGEST_COPY_BYTES = 5 << 30
# They are the copy's own, whatever the directive says.
_NOT_INHERITED = {
    "StorageClass",
    "WebsiteRedirectLocation",
    "ServerSideEncryption",
    "SSEKMSKeyId",
}


def copy_object(office: Office, call: Call) -> Mapping[str, Any]:
    """Store an object under another key, or with other metadata under its own."""
    parameters = call.parameters
    bucket, key = parameters["Bucket"], parameters["Key"]
    opened = office.store.open(*parse_copy_source(parameters["CopySource"]))
    with opened.file:
        check_copy(parameters, opened.info)
        _check_source(call, opened.info)
        algorithm = check_algorithm(parameters)
        description = _description(call, opened.info)
        info = office.store.copy(
            opened,
            bucket,
            key,
            description,
            algorithms=() if algorithm is None else (algorithm,),
            condition=write_condition(
                key, parameters.get("IfMatch"), parameters.get("IfNoneMatch")
            ),
        )
    result = {
        "ETag": quoted(info.etag),
        "LastModified": info.modified,
        **checksum_members(info.description),
    }
    return {"CopyObjectResult": result, **label_members(description.headers)}


def _check_source(call: Call, source: ObjectInfo) -> None:
    parameters = call.parameters
    if source.size > LARGEST_COPY_BYTES:
        raise invalid_request(
            "The specified copy source is larger than the maximum allowable size for a copy "
            f"source: {LARGEST_COPY_BYTES}"
        )
    itself = (source.bucket, source.key) == (parameters["Bucket"], parameters["Key"])
    replaced = parameters.get("MetadataDirective") == "REPLACE"
    if itself and not replaced and not _NOT_INHERITED & set(parameters):
        raise invalid_request(
            "This copy request is illegal because it is trying to copy an object to itself without "
            "changing the object's metadata, storage class, website redirect location or "
            "encryption attributes."
        )


def _description(call: Call, source: ObjectInfo) -> Description:
    """What the copy is to have; the store fills in ETag and checksums."""
    given = kept_headers(call)
    own = {name: value for name, value in given.items() if name in _NOT_INHERITED}
    known = source.description
    if call.parameters.get("TaggingDirective") == "REPLACE":
        tags: Mapping[str, str] = tags_of_header(call.parameters.get("Tagging"))
    else:
        tags = known.tags
    if call.parameters.get("MetadataDirective") == "REPLACE":
        return Description(
            content_type=call.parameters.get("ContentType"),
            metadata=kept_metadata(call.parameters),
            headers=given,
            tags=tags,
        )
    inherited = {n: value for n, value in known.headers.items() if n not in _NOT_INHERITED}
    return Description(
        content_type=known.content_type,
        metadata=known.metadata,
        headers={**inherited, **own},
        tags=tags,
    )


OPERATIONS: dict[str, Handler] = {"CopyObject": copy_object}
