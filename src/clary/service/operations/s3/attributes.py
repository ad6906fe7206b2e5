"""GetObjectAttributes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clary.object_store.objects import Description
from clary.service.call import Call
from clary.service.office import Handler, Office
from clary.service.operations.s3.checksums import checksum_members
from clary.service.operations.s3.listing import page_size


def get_object_attributes(office: Office, call: Call) -> Mapping[str, Any]:
    """The attributes that are asked for, as far as the object has them."""
    info = office.store.info(call.parameters["Bucket"], call.parameters["Key"])
    description = info.description
    known: dict[str, Any] = {
        "ETag": info.etag,
        "ObjectSize": info.size,
        "StorageClass": description.headers.get("StorageClass", "STANDARD"),
        "Checksum": checksum_members(description) or None,
        "ObjectParts": _parts(description, call.parameters) if description.parts else None,
    }
    wanted = set(call.parameters["ObjectAttributes"])
    members = {name: value for name, value in known.items() if name in wanted}
    return {**members, "LastModified": info.modified}


def _parts(description: Description, parameters: Mapping[str, Any]) -> dict[str, Any]:
    limit = page_size(parameters, "MaxParts")
    marker = int(parameters.get("PartNumberMarker") or 0)
    left = [part for part in description.parts if part.number > marker]
    shown = left[:limit]
    parts: dict[str, Any] = {
        "TotalPartsCount": len(description.parts),
        "PartNumberMarker": marker,
        "NextPartNumberMarker": shown[-1].number if shown else 0,
        "MaxParts": limit,
        "IsTruncated": len(left) > len(shown),
    }
    # S3 names single parts only of objects that were uploaded with checksums.
    if description.checksums:
        parts["Parts"] = [
            {
                "PartNumber": part.number,
                "Size": part.size,
                **{f"Checksum{name}": value for name, value in part.checksums.items()},
            }
            for part in shown
        ]
    return parts


OPERATIONS: dict[str, Handler] = {"GetObjectAttributes": get_object_attributes}
