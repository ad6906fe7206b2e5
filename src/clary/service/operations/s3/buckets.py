"""Buckets: create, list, find, delete; and folders that are served in place."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from clary.object_store.errors import BucketExists
from clary.service.call import Call
from clary.service.faults import Fault
from clary.service.office import Handler, Office
from clary.service.operations.s3.faults import invalid_argument, invalid_request

# The path of the folder to serve in place, percent-encoded: Clary's own, `clary data link`.
FOLDER_HEADER = "x-clary-folder"
_MOST_LISTED = 10_000


def owner(office: Office) -> dict[str, str]:
    """Who owns everything: one canonical user."""
    return {"ID": hashlib.sha256(office.account.encode()).hexdigest(), "DisplayName": "clary"}


def create_bucket(office: Office, call: Call) -> Mapping[str, Any]:
    """Make a bucket; one's own again is fine in us-east-1, and BucketAlreadyOwnedByYou elsewhere.

    Any LocationConstraint is taken; all buckets are where the service is.
    """
    name = call.parameters["Bucket"]
    folder = call.headers.get(FOLDER_HEADER)
    if folder is not None:
        path = Path(unquote(folder))
        if not path.is_absolute() or not path.is_dir():
            raise invalid_argument(f"{path} is no folder on this machine", FOLDER_HEADER, folder)
        office.store.link(name, path)
    else:
        try:
            office.store.create_bucket(name)
        except BucketExists as error:
            if office.region != "us-east-1":
                raise Fault(
                    "BucketAlreadyOwnedByYou",
                    "Your previous request to create the named bucket succeeded and you already "
                    "own it.",
                    409,
                    members={"BucketName": name},
                ) from error
    return {"Location": f"/{name}", "BucketArn": f"arn:aws:s3:::{name}"}


def head_bucket(office: Office, call: Call) -> Mapping[str, Any]:
    """Whether there is a bucket."""
    bucket = office.store.bucket(call.parameters["Bucket"])
    return {"BucketRegion": office.region, "BucketArn": f"arn:aws:s3:::{bucket.name}"}


def list_buckets(office: Office, call: Call) -> Mapping[str, Any]:
    """All buckets, in pages when asked for."""
    parameters = call.parameters
    prefix = parameters.get("Prefix") or ""
    after = parameters.get("ContinuationToken") or ""
    limit = parameters.get("MaxBuckets") or _MOST_LISTED
    here = parameters.get("BucketRegion") in {None, office.region}
    found = [
        bucket
        for bucket in (office.store.buckets() if here else [])
        if bucket.name.startswith(prefix) and bucket.name > after
    ]
    shown = found[:limit]
    entries: list[dict[str, Any]] = []
    for bucket in shown:
        entry: dict[str, Any] = {"Name": bucket.name, "CreationDate": bucket.created}
        if "MaxBuckets" in parameters or "BucketRegion" in parameters:
            entry["BucketRegion"] = office.region
        entries.append(entry)
    return {
        "Buckets": entries,
        "Owner": owner(office),
        "Prefix": parameters.get("Prefix"),
        "ContinuationToken": shown[-1].name if len(found) > limit else None,
    }


def get_bucket_location(office: Office, call: Call) -> Mapping[str, Any]:
    """The region of a bucket, which S3 leaves out for us-east-1."""
    office.store.bucket(call.parameters["Bucket"])
    return {"LocationConstraint": None if office.region == "us-east-1" else office.region}


def delete_bucket(office: Office, call: Call) -> Mapping[str, Any]:
    """Remove an empty bucket, or serve a linked folder no more."""
    name = call.parameters["Bucket"]
    if office.store.is_linked(name):
        office.store.unlink(name)
    else:
        office.store.delete_bucket(name)
    return {}


def get_bucket_versioning(office: Office, call: Call) -> Mapping[str, Any]:
    """Versioning was never enabled, for which S3 answers nothing."""
    office.store.bucket(call.parameters["Bucket"])
    return {}


def get_bucket_acl(office: Office, call: Call) -> Mapping[str, Any]:
    """The owner may do everything, and nobody else anything."""
    office.store.bucket(call.parameters["Bucket"])
    return _private(office)


def get_object_acl(office: Office, call: Call) -> Mapping[str, Any]:
    """The owner may do everything, and nobody else anything."""
    office.store.info(call.parameters["Bucket"], call.parameters["Key"])
    return _private(office)


def _private(office: Office) -> dict[str, Any]:
    grantee = {**owner(office), "Type": "CanonicalUser"}
    grant = {"Grantee": grantee, "Permission": "FULL_CONTROL"}
    return {"Owner": owner(office), "Grants": [grant]}


def _without(code: str, message: str) -> Handler:
    def handle(office: Office, call: Call) -> Mapping[str, Any]:
        """A bucket has none: so it says, as a bucket of S3 that was never given any."""
        bucket = office.store.bucket(call.parameters["Bucket"])
        raise Fault(code, message, 404, members={"BucketName": bucket.name})

    return handle


def put_bucket_versioning(office: Office, call: Call) -> Mapping[str, Any]:
    """Versions are not kept; suspending what never began is fine."""
    office.store.bucket(call.parameters["Bucket"])
    if call.parameters["VersioningConfiguration"].get("Status") == "Enabled":
        raise invalid_request(
            "Clary keeps one version of each object: versioning cannot be enabled"
        )
    return {}


OPERATIONS: dict[str, Handler] = {
    "CreateBucket": create_bucket,
    "HeadBucket": head_bucket,
    "ListBuckets": list_buckets,
    "GetBucketLocation": get_bucket_location,
    "DeleteBucket": delete_bucket,
    "GetBucketVersioning": get_bucket_versioning,
    "PutBucketVersioning": put_bucket_versioning,
    "GetBucketAcl": get_bucket_acl,
    "GetObjectAcl": get_object_acl,
    "GetBucketTagging": _without("NoSuchTagSet", "The TagSet does not exist"),
    "GetBucketPolicy": _without("NoSuchBucketPolicy", "The bucket policy does not exist"),
    "GetBucketCors": _without("NoSuchCORSConfiguration", "The CORS configuration does not exist"),
    "GetBucketLifecycleConfiguration": _without(
        "NoSuchLifecycleConfiguration", "The lifecycle configuration does not exist"
    ),
}
