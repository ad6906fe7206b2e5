"""S3's errors, in AWS's words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from clary.errors import DataError, StorageError
from clary.object_store import errors
from clary.object_store.names import KEY_LIMIT_BYTES
from clary.service.faults import Fault


@contextmanager
def s3_faults() -> Iterator[None]:
    """Turn what the store refuses into what S3 answers.

    Raises:
        Fault: in place of any error of the store.
    """
    try:
        yield
    except errors.ObjectStoreError as error:
        raise _fault(error) from error
    except (StorageError, DataError) as error:
        raise Fault("InternalError", f"{error}.", 500) from error
    except PermissionError as error:
        raise access_denied() from error


def _fault(error: errors.ObjectStoreError) -> Fault:
    fault: Fault
    if isinstance(error, errors.LinkedFolderGone):
        fault = Fault("NoSuchBucket", f"{error}.", 404, members={"BucketName": error.bucket})
    elif isinstance(error, errors.NoSuchBucket):
        fault = no_such_bucket(error.bucket)
    elif isinstance(error, errors.NoSuchKey):
        fault = no_such_key(error.key)
    elif isinstance(error, errors.NoSuchUpload):
        fault = Fault(
            "NoSuchUpload",
            "The specified upload does not exist. The upload ID may be invalid, or the upload may "
            "have been aborted or completed.",
            404,
            members={"UploadId": error.upload},
        )
    elif isinstance(error, errors.BucketExists):
        fault = Fault(
            "BucketAlreadyExists",
            "The requested bucket name is not available. The bucket namespace is shared by all "
            "users of the system. Please select a different name and try again.",
            409,
            members={"BucketName": error.bucket},
        )
    elif isinstance(error, errors.BucketNotEmpty):
        fault = Fault(
            "BucketNotEmpty",
            "The bucket you tried to delete is not empty",
            409,
            members={"BucketName": error.bucket},
        )
    elif isinstance(error, errors.BucketIsReadOnly):
        fault = Fault("AccessDenied", f"Access Denied: {error}.", 403)
    elif isinstance(error, errors.InvalidBucketName):
        fault = Fault(
            "InvalidBucketName",
            "The specified bucket is not valid.",
            400,
            members={"BucketName": error.name},
        )
    elif isinstance(error, errors.InvalidKey) and error.size_bytes <= KEY_LIMIT_BYTES:
        fault = invalid_argument(f"{error}.", "key", error.key)
    elif isinstance(error, errors.InvalidKey):
        fault = Fault(
            "KeyTooLongError",
            "Your key is too long",
            400,
            members={"Size": error.size_bytes, "MaxSizeAllowed": KEY_LIMIT_BYTES},
        )
    else:
        fault = _part_fault(error)
    return fault


def _part_fault(error: errors.ObjectStoreError) -> Fault:
    if isinstance(error, errors.InvalidPart):
        return Fault(
            "InvalidPart",
            "One or more of the specified parts could not be found.  The part may not have been "
            "uploaded, or the specified entity tag may not match the part's entity tag.",
            members={"UploadId": error.upload, "PartNumber": error.number, "ETag": error.etag},
        )
    if isinstance(error, errors.InvalidPartOrder):
        return Fault(
            "InvalidPartOrder",
            "The list of parts was not in ascending order. Parts must be ordered by part number.",
            members={"UploadId": error.upload},
        )
    if isinstance(error, errors.PartTooSmall):
        return Fault(
            "EntityTooSmall",
            "Your proposed upload is smaller than the minimum allowed size",
            members={
                "ProposedSize": error.size,
                "MinSizeAllowed": error.minimum,
                "PartNumber": error.number,
                "ETag": error.etag,
            },
        )
    if isinstance(error, errors.LongerThanAnnounced):
        return Fault("IncompleteBody", f"{error}.")
    return Fault("InternalError", f"{error}.", 500)


def no_such_bucket(bucket: str) -> Fault:
    """There is no bucket of this name."""
    message = "The specified bucket does not exist"
    return Fault("NoSuchBucket", message, 404, members={"BucketName": bucket})


def no_such_key(key: str) -> Fault:
    """There is no object of this key."""
    return Fault("NoSuchKey", "The specified key does not exist.", 404, members={"Key": key})


def access_denied() -> Fault:
    """The bucket belongs to another account, or its files to another user."""
    return Fault("AccessDenied", "Access Denied", 403)


def invalid_argument(message: str, name: str, value: object) -> Fault:
    """A parameter that the model allows and S3 does not."""
    members = {"ArgumentName": name, "ArgumentValue": value}
    return Fault("InvalidArgument", message, members=members)


def invalid_request(message: str) -> Fault:
    """Parameters that do not go together."""
    return Fault("InvalidRequest", message)


def precondition_failed(condition: str) -> Fault:
    """`condition` is the header that did not hold, such as If-Match."""
    return Fault(
        "PreconditionFailed",
        "At least one of the pre-conditions you specified did not hold",
        412,
        members={"Condition": condition},
    )


def not_implemented(header: str, what: str) -> Fault:
    """A parameter whose meaning Clary does not offer."""
    return Fault(
        "NotImplemented",
        f"A header you provided implies functionality that is not implemented: {what}",
        501,
        members={"Header": header},
    )


def malformed_xml() -> Fault:
    """A body that does not have what it must."""
    return Fault(
        "MalformedXML",
        "The XML you provided was not well-formed or did not validate against our published schema",
    )
