"""PutObject, GetObject, HeadObject, DeleteObject, DeleteObjects."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clary.object_store.objects import ObjectInfo
from clary.service.call import Answer, Call
from clary.service.faults import Fault
from clary.service.office import Handler, Office
from clary.service.operations.s3.bodies import FileBody
from clary.service.operations.s3.checksums import checksum_members, read_claim
from clary.service.operations.s3.conditions import check_read, delete_condition, write_condition
from clary.service.operations.s3.describing import (
    kept_headers,
    kept_metadata,
    label_members,
    object_members,
    plain_headers,
    quoted,
)
from clary.service.operations.s3.faults import malformed_xml, s3_faults
from clary.service.operations.s3.ranges import Span, find_span
from clary.service.operations.s3.tags import tags_of_header

LARGEST_PUT_BYTES = 5 << 30
_MOST_DELETED = 1000
_OVERRIDES = {
    "ResponseCacheControl": "CacheControl",
    "ResponseContentDisposition": "ContentDisposition",
    "ResponseContentEncoding": "ContentEncoding",
    "ResponseContentLanguage": "ContentLanguage",
    "ResponseContentType": "ContentType",
    "ResponseExpires": "Expires",
}


def put_object(office: Office, call: Call) -> Mapping[str, Any]:
    """Store the body under a key."""
    parameters = call.parameters
    assert call.body is not None
    check_length(call.body.length)
    claim = read_claim(call)
    headers = kept_headers(call)
    key = parameters["Key"]
    info = office.store.put(
        parameters["Bucket"],
        key,
        call.body,
        content_type=parameters.get("ContentType"),
        metadata=kept_metadata(parameters),
        headers=headers,
        tags=tags_of_header(parameters.get("Tagging")),
        algorithms=claim.algorithms,
        check=claim.check,
        condition=write_condition(key, parameters.get("IfMatch"), parameters.get("IfNoneMatch")),
    )
    return {
        "ETag": quoted(info.etag),
        **checksum_members(info.description),
        **label_members(headers),
    }


def check_length(length: int | None) -> None:
    """Hold the announced size of a body against S3's bound for one request.

    Raises:
        Fault: it is larger.
    """
    if length is not None and length > LARGEST_PUT_BYTES:
        raise Fault(
            "EntityTooLarge",
            "Your proposed upload exceeds the maximum allowed size",
            members={"ProposedSize": length, "MaxSizeAllowed": LARGEST_PUT_BYTES},
        )


def get_object(office: Office, call: Call) -> Answer:
    """Send an object or a range of it."""
    opened = office.store.open(call.parameters["Bucket"], call.parameters["Key"])
    try:
        answer, span = _read_answer(call, opened.info)
        body = FileBody(opened.file, span.begin, span.length)
    except BaseException:
        opened.file.close()
        raise
    members = {**answer.members, "Body": body}
    headers = dict(answer.headers)
    for name, member in _OVERRIDES.items():
        if call.parameters.get(name) is not None:
            members[member] = call.parameters[name]
            headers.pop(member.lower(), None)
    return Answer(members, answer.status, headers)


def head_object(office: Office, call: Call) -> Answer:
    """Say everything about an object but its bytes."""
    info = office.store.info(call.parameters["Bucket"], call.parameters["Key"])
    return _read_answer(call, info)[0]


def _read_answer(call: Call, info: ObjectInfo) -> tuple[Answer, Span]:
    check_read(call.parameters, info)
    part = call.parameters.get("PartNumber")
    span = find_span(info, call.parameters.get("Range"), part)
    whole = Span(0, info.size, info.size)
    members = object_members(info)
    members["ContentLength"] = (span or whole).length
    if span is not None:
        members["ContentRange"] = span.content_range
    if part is not None and info.description.parts:
        members["PartsCount"] = len(info.description.parts)
    # A checksum is of the whole object; beside a range a client would hold it against the range.
    if call.parameters.get("ChecksumMode") == "ENABLED" and (span is None or span == whole):
        members.update(checksum_members(info.description))
    answer = Answer(members, None if span is None else 206, plain_headers(info))
    return answer, span or whole


def delete_object(office: Office, call: Call) -> Mapping[str, Any]:
    """Remove an object; one that is not there is removed already."""
    parameters = call.parameters
    condition = delete_condition(
        parameters["Key"],
        wanted=parameters.get("IfMatch"),
        modified=parameters.get("IfMatchLastModifiedTime"),
        size=parameters.get("IfMatchSize"),
    )
    office.store.delete(parameters["Bucket"], parameters["Key"], condition)
    return {}


def delete_objects(office: Office, call: Call) -> Mapping[str, Any]:
    """Remove up to a thousand objects; each has its own success."""
    bucket = call.parameters["Bucket"]
    wanted = call.parameters["Delete"]["Objects"]
    if not 1 <= len(wanted) <= _MOST_DELETED:
        raise malformed_xml()
    office.store.bucket(bucket)
    deleted: list[dict[str, Any]] = []
    errors: list[dict[str, Any]] = []
    for item in wanted:
        key = item["Key"]
        named = {"Key": key, "VersionId": item.get("VersionId")}
        try:
            with s3_faults():
                if item.get("VersionId") not in {None, "null"}:
                    raise Fault("NoSuchVersion", "The specified version does not exist.", 404)
                condition = delete_condition(
                    key,
                    wanted=item.get("ETag"),
                    modified=item.get("LastModifiedTime"),
                    size=item.get("Size"),
                )
                office.store.delete(bucket, key, condition)
        except Fault as fault:
            errors.append({**named, "Code": fault.code, "Message": fault.message})
        else:
            deleted.append(named)
    quiet = call.parameters["Delete"].get("Quiet")
    return {"Deleted": [] if quiet else deleted, "Errors": errors}


OPERATIONS: dict[str, Handler] = {
    "PutObject": put_object,
    "GetObject": get_object,
    "HeadObject": head_object,
    "DeleteObject": delete_object,
    "DeleteObjects": delete_objects,
}
