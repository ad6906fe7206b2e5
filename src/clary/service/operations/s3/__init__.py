"""S3 over the object store."""

from __future__ import annotations

from clary.service.office import Handler
from clary.service.operations.s3 import (
    attributes,
    buckets,
    copying,
    listing,
    multipart,
    objects,
    tagging,
    upload_listing,
)
from clary.service.operations.s3.guards import guarded

OPERATIONS: dict[str, Handler] = {
    name: guarded(handler)
    for module in (
        buckets,
        objects,
        listing,
        copying,
        tagging,
        attributes,
        multipart,
        upload_listing,
    )
    for name, handler in module.OPERATIONS.items()
}
