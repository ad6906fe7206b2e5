"""ListMultipartUploads and ListParts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clary.object_store.objects import UploadInfo
from clary.service.call import Call
from clary.service.office import Handler, Office
from clary.service.operations.s3.buckets import owner
from clary.service.operations.s3.describing import quoted
from clary.service.operations.s3.listing import encoder, page_size


def list_multipart_uploads(office: Office, call: Call) -> Mapping[str, Any]:
    """A page of the uploads that are under way, by key and the time they began."""
    parameters = call.parameters
    limit = page_size(parameters, "MaxUploads")
    prefix, delimiter = parameters.get("Prefix") or "", parameters.get("Delimiter") or ""
    uploads = _behind(office.store.uploads.under_way(parameters["Bucket"]), parameters)
    entries: list[tuple[str, UploadInfo, bool]] = []
    for upload in uploads:
        if not upload.key.startswith(prefix):
            continue
        at = upload.key.find(delimiter, len(prefix)) if delimiter else -1
        name = upload.key if at < 0 else upload.key[: at + len(delimiter)]
        if at < 0 or not entries or entries[-1][0] != name:
            entries.append((name, upload, at >= 0))
    shown, truncated = entries[:limit], len(entries) > limit > 0
    encode = encoder(parameters)
    last = shown[-1] if truncated else None
    return {
        "Bucket": parameters["Bucket"],
        "KeyMarker": encode(parameters.get("KeyMarker") or ""),
        "UploadIdMarker": parameters.get("UploadIdMarker") or "",
        "NextKeyMarker": None if last is None else encode(last[0]),
        "NextUploadIdMarker": None if last is None or last[2] else last[1].id,
        "Prefix": encode(prefix),
        "Delimiter": encode(delimiter) if delimiter else None,
        "EncodingType": parameters.get("EncodingType"),
        "MaxUploads": limit,
        "IsTruncated": truncated,
        "Uploads": [
            {
                "UploadId": upload.id,
                "Key": encode(name),
                "Initiated": upload.created,
                "StorageClass": upload.description.headers.get("StorageClass", "STANDARD"),
                "Owner": owner(office),
                "Initiator": owner(office),
                "ChecksumAlgorithm": upload.algorithm,
                "ChecksumType": upload.checksum_type,
            }
            for name, upload, rolled_up in shown
            if not rolled_up
        ],
        "CommonPrefixes": [{"Prefix": encode(n)} for n, _, rolled_up in shown if rolled_up],
    }


def _behind(uploads: list[UploadInfo], parameters: Mapping[str, Any]) -> list[UploadInfo]:
    """Those behind the markers: a key, a common prefix, or an upload among those of one key."""
    key, upload_id = parameters.get("KeyMarker") or "", parameters.get("UploadIdMarker")
    if not key:
        return uploads
    if upload_id:
        for number, upload in enumerate(uploads):
            if (upload.key, upload.id) == (key, upload_id):
                return uploads[number + 1 :]
    delimiter = parameters.get("Delimiter")
    passed = key if delimiter and key.endswith(delimiter) else None
    return [
        upload
        for upload in uploads
        if upload.key.encode() > key.encode()
        and not (passed is not None and upload.key.startswith(passed))
    ]


def list_parts(office: Office, call: Call) -> Mapping[str, Any]:
    """A page of the parts that have come."""
    parameters = call.parameters
    limit = page_size(parameters, "MaxParts")
    marker = int(parameters.get("PartNumberMarker") or 0)
    uploads = office.store.uploads
    upload = uploads.get(parameters["Bucket"], parameters["Key"], parameters["UploadId"])
    left = [part for part in uploads.parts(upload) if part.number > marker]
    shown = left[:limit]
    return {
        "Bucket": upload.bucket,
        "Key": upload.key,
        "UploadId": upload.id,
        "PartNumberMarker": marker,
        "NextPartNumberMarker": shown[-1].number if shown else 0,
        "MaxParts": limit,
        "IsTruncated": len(left) > len(shown),
        "Parts": [
            {
                "PartNumber": part.number,
                "LastModified": part.modified,
                "ETag": quoted(part.etag),
                "Size": part.size,
                **{f"Checksum{name}": value for name, value in part.checksums.items()},
            }
            for part in shown
        ],
        "Owner": owner(office),
        "Initiator": owner(office),
        "StorageClass": upload.description.headers.get("StorageClass", "STANDARD"),
        "ChecksumAlgorithm": upload.algorithm,
        "ChecksumType": upload.checksum_type,
    }


OPERATIONS: dict[str, Handler] = {
    "ListMultipartUploads": list_multipart_uploads,
    "ListParts": list_parts,
}
