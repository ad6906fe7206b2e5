"""Multipart uploads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from clary.object_store.digests import COMBINABLE
from clary.object_store.errors import NoSuchUpload
from clary.object_store.objects import Description, PartInfo
from clary.object_store.receiving import blocks
from clary.service.call import Call
from clary.service.faults import Fault
from clary.service.office import Handler, Office
from clary.service.operations.s3.checksums import (
    check_algorithm,
    checksum_members,
    given_checksums,
    read_claim,
)
from clary.service.operations.s3.conditions import check_copy, write_condition
from clary.service.operations.s3.copy_source import parse_copy_source
from clary.service.operations.s3.describing import (
    kept_headers,
    kept_metadata,
    label_members,
    quoted,
)
from clary.service.operations.s3.faults import invalid_argument, invalid_request, malformed_xml
from clary.service.operations.s3.objects import check_length
from clary.service.operations.s3.ranges import find_copy_span
from clary.service.operations.s3.tags import tags_of_header

_MOST_PARTS = 10_000


def create_multipart_upload(office: Office, call: Call) -> Mapping[str, Any]:
    """Begin an upload."""
    parameters = call.parameters
    algorithm = check_algorithm(parameters)
    checksum_type = _checksum_type(algorithm, parameters.get("ChecksumType"))
    headers = kept_headers(call)
    description = Description(
        content_type=parameters.get("ContentType"),
        metadata=kept_metadata(parameters),
        headers=headers,
        tags=tags_of_header(parameters.get("Tagging")),
    )
    upload = office.store.uploads.begin(
        parameters["Bucket"], parameters["Key"], description, algorithm, checksum_type
    )
    return {
        "Bucket": upload.bucket,
        "Key": upload.key,
        "UploadId": upload.id,
        "ChecksumAlgorithm": algorithm,
        "ChecksumType": checksum_type,
        **label_members(headers),
    }


def _checksum_type(algorithm: str | None, wanted: str | None) -> str | None:
    if algorithm is None:
        if wanted is not None:
            raise invalid_request(
                "The x-amz-checksum-type header can only be used with the "
                "x-amz-checksum-algorithm header."
            )
        return None
    usual = "FULL_OBJECT" if algorithm == "CRC64NVME" else "COMPOSITE"
    chosen = wanted or usual
    possible = {"FULL_OBJECT"} if algorithm == "CRC64NVME" else {"COMPOSITE"}
    if algorithm in COMBINABLE:
        possible.add("FULL_OBJECT")
    if chosen not in possible:
        raise invalid_request(
            f"The {chosen} checksum type cannot be used with the {algorithm.lower()} checksum "
            "algorithm."
        )
    return chosen


def upload_part(office: Office, call: Call) -> Mapping[str, Any]:
    """Store a part."""
    parameters = call.parameters
    assert call.body is not None
    number = _part_number(parameters)
    check_length(call.body.length)
    uploads = office.store.uploads
    upload = uploads.get(parameters["Bucket"], parameters["Key"], parameters["UploadId"])
    claim = read_claim(call, upload.algorithm)
    if upload.algorithm is not None and claim.algorithm != upload.algorithm:
        raise invalid_request(
            f"Checksum Type mismatch occurred, expected checksum Type: {upload.algorithm.lower()}, "
            f"actual checksum Type: {(claim.algorithm or 'null').lower()}"
        )
    part = uploads.put_part(
        upload,
        number,
        blocks(call.body),
        size=call.body.length,
        algorithms=claim.algorithms,
        check=claim.check,
    )
    return {"ETag": quoted(part.etag), **_part_checksums(part)}


def upload_part_copy(office: Office, call: Call) -> Mapping[str, Any]:
    """Store a part that is a range of an object."""
    parameters = call.parameters
    number = _part_number(parameters)
    uploads = office.store.uploads
    upload = uploads.get(parameters["Bucket"], parameters["Key"], parameters["UploadId"])
    opened = office.store.open(*parse_copy_source(parameters["CopySource"]))
    with opened.file as file:
        check_copy(parameters, opened.info)
        size = opened.info.size
        if parameters.get("CopySourceRange") is not None:
            span = find_copy_span(opened.info, parameters["CopySourceRange"])
            file.seek(span.begin)
            size = span.length
        part = uploads.put_part(
            upload,
            number,
            blocks(file, size),
            size=size,
            algorithms=() if upload.algorithm is None else (upload.algorithm,),
        )
    result = {
        "ETag": quoted(part.etag),
        "LastModified": part.modified,
        **_part_checksums(part),
    }
    return {"CopyPartResult": result}


def _part_number(parameters: Mapping[str, Any]) -> int:
    number = int(parameters["PartNumber"])
    if not 1 <= number <= _MOST_PARTS:
        raise invalid_argument(
            f"Part number must be an integer between 1 and {_MOST_PARTS}, inclusive",
            "partNumber",
            number,
        )
    return number


def _part_checksums(part: PartInfo) -> dict[str, str]:
    return {f"Checksum{name}": value for name, value in part.checksums.items()}


def complete_multipart_upload(office: Office, call: Call) -> Mapping[str, Any]:
    """Make the object of the named parts."""
    parameters = call.parameters
    bucket, key = parameters["Bucket"], parameters["Key"]
    wanted = _named_parts(parameters)
    try:
        description = _complete(office, parameters, wanted)
    except NoSuchUpload:
        # A client that heard no answer asks again.
        known = office.store.uploads.completed(bucket, key, parameters["UploadId"], wanted)
        if known is None:
            raise
        description = known
    return {
        "Location": f"{_base_url(call)}/{bucket}/{quote(key)}",
        "Bucket": bucket,
        "Key": key,
        "ETag": quoted(description.etag),
        **checksum_members(description),
        **label_members(description.headers),
    }


def _named_parts(parameters: Mapping[str, Any]) -> list[PartInfo]:
    named = (parameters.get("MultipartUpload") or {}).get("Parts") or []
    if not 1 <= len(named) <= _MOST_PARTS or any("PartNumber" not in part for part in named):
        raise malformed_xml()
    return [
        PartInfo(
            number=part["PartNumber"],
            size=0,
            etag=str(part.get("ETag", "")).strip('"'),
            checksums=given_checksums(part),
        )
        for part in named
    ]


def _complete(office: Office, parameters: Mapping[str, Any], wanted: list[PartInfo]) -> Description:
    bucket, key = parameters["Bucket"], parameters["Key"]
    upload = office.store.uploads.get(bucket, key, parameters["UploadId"])
    claimed = given_checksums(parameters)
    claimed_size = parameters.get("MpuObjectSize")
    claimed_type = parameters.get("ChecksumType")

    def check(description: Description, size: int) -> None:
        if claimed_size is not None and claimed_size != size:
            raise invalid_request(
                "The provided 'x-amz-mp-object-size' header does not match what was computed."
            )
        if claimed_type is not None and claimed_type != (upload.checksum_type or claimed_type):
            raise invalid_request(
                f"The upload was created using the {upload.checksum_type} checksum mode. The "
                "complete request must use the same checksum mode."
            )
        for name, value in claimed.items():
            known = description.checksums.get(name, "")
            if value not in {known, known.partition("-")[0]}:
                raise Fault(
                    "BadDigest",
                    f"The {name.lower()} you specified did not match the calculated checksum.",
                )

    info = office.store.uploads.complete(
        upload,
        wanted,
        check,
        write_condition(key, parameters.get("IfMatch"), parameters.get("IfNoneMatch")),
    )
    return info.description


def _base_url(call: Call) -> str:
    return f"http://{call.headers.get('host', 'localhost')}"


def abort_multipart_upload(office: Office, call: Call) -> Mapping[str, Any]:
    """Throw the parts away."""
    parameters = call.parameters
    uploads = office.store.uploads
    uploads.abort(uploads.get(parameters["Bucket"], parameters["Key"], parameters["UploadId"]))
    return {}


OPERATIONS: dict[str, Handler] = {
    "CreateMultipartUpload": create_multipart_upload,
    "UploadPart": upload_part,
    "UploadPartCopy": upload_part_copy,
    "CompleteMultipartUpload": complete_multipart_upload,
    "AbortMultipartUpload": abort_multipart_upload,
}
