"""What holds for every operation of S3: the owner, and parameters that Clary does not offer."""

from __future__ import annotations

from collections.abc import Mapping
from functools import wraps
from typing import Any

from clary.service.call import Answer, Call
from clary.service.faults import Fault
from clary.service.office import Handler, Office
from clary.service.operations.s3.copy_source import parse_copy_source
from clary.service.operations.s3.faults import (
    access_denied,
    invalid_argument,
    invalid_request,
    not_implemented,
    s3_faults,
)

# The client keeps the key and counts on nobody else being able to read; plain files can't do that.
_CUSTOMER_KEYS = ("SSECustomerAlgorithm", "SSECustomerKey", "CopySourceSSECustomerKey")
_LOCKS = ("ObjectLockMode", "ObjectLockRetainUntilDate", "ObjectLockLegalHoldStatus")
_GRANTS = ("GrantFullControl", "GrantRead", "GrantReadACP", "GrantWrite", "GrantWriteACP")
_PRIVATE = {"private", "bucket-owner-full-control", "bucket-owner-read"}


def guarded(handler: Handler) -> Handler:
    """The handler, behind what holds for all of them."""

    @wraps(handler)
    def handle(office: Office, call: Call) -> Mapping[str, Any] | Answer:
        with s3_faults():
            _check_owners(office, call.parameters)
            _refuse(call.parameters)
            return handler(office, call)

    return handle


def _check_owners(office: Office, parameters: Mapping[str, Any]) -> None:
    owner = parameters.get("ExpectedBucketOwner")
    if owner is not None and owner != office.account:
        office.store.bucket(parameters["Bucket"])
        raise access_denied()
    owner = parameters.get("ExpectedSourceBucketOwner")
    if owner is not None and owner != office.account:
        office.store.bucket(parse_copy_source(parameters["CopySource"])[0])
        raise access_denied()


def _refuse(parameters: Mapping[str, Any]) -> None:
    for name in _CUSTOMER_KEYS:
        if name in parameters:
            raise not_implemented(
                "x-amz-server-side-encryption-customer-key",
                "Clary keeps objects as plain files and encrypts with no key of the customer's",
            )
    if any(name in parameters for name in _LOCKS) or parameters.get("ObjectLockEnabledForBucket"):
        raise invalid_request("Bucket is missing Object Lock Configuration")
    if parameters.get("ACL", "private") not in _PRIVATE or any(n in parameters for n in _GRANTS):
        raise Fault("AccessControlListNotSupported", "The bucket does not allow ACLs")
    if parameters.get("WriteOffsetBytes") is not None:
        raise not_implemented("x-amz-write-offset-bytes", "objects are not appended to")
    version = parameters.get("VersionId")
    if version not in {None, "null"}:
        raise invalid_argument("Invalid version id specified", "versionId", version)
