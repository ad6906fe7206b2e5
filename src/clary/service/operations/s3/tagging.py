"""Tags of objects."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clary.service.call import Call
from clary.service.office import Handler, Office
from clary.service.operations.s3.tags import tags_of_set


def put_object_tagging(office: Office, call: Call) -> Mapping[str, Any]:
    """Replace all tags."""
    tags = tags_of_set(call.parameters["Tagging"]["TagSet"])
    office.store.set_tags(call.parameters["Bucket"], call.parameters["Key"], tags)
    return {}


def get_object_tagging(office: Office, call: Call) -> Mapping[str, Any]:
    """All tags."""
    info = office.store.info(call.parameters["Bucket"], call.parameters["Key"])
    tags = info.description.tags.items()
    return {"TagSet": [{"Key": key, "Value": value} for key, value in tags]}


def delete_object_tagging(office: Office, call: Call) -> Mapping[str, Any]:
    """Remove all tags."""
    office.store.set_tags(call.parameters["Bucket"], call.parameters["Key"], {})
    return {}


OPERATIONS: dict[str, Handler] = {
    "PutObjectTagging": put_object_tagging,
    "GetObjectTagging": get_object_tagging,
    "DeleteObjectTagging": delete_object_tagging,
}
