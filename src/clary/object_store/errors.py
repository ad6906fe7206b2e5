"""What goes wrong in a store.

    ObjectStoreError
    ├── InvalidBucketName
    ├── InvalidKey
    ├── NoSuchBucket
    │   └── LinkedFolderGone
    ├── BucketExists
    ├── BucketNotEmpty
    ├── BucketIsReadOnly
    ├── NoSuchKey
    ├── NoSuchUpload
    ├── InvalidPart
    ├── PartTooSmall
    ├── InvalidPartOrder
    └── LongerThanAnnounced

A disk that is full or a folder that cannot be written is `clary.errors.StorageError`.
"""

from __future__ import annotations

from clary.errors import ClaryError


class ObjectStoreError(ClaryError):
    """The root of what a store refuses."""


class InvalidBucketName(ObjectStoreError):
    """A name that S3 does not allow for a bucket."""

    def __init__(self, name: str, rule: str) -> None:
        super().__init__(f"{name!r} is not a bucket name: {rule}")
        self.name = name


class InvalidKey(ObjectStoreError):
    """A key that S3 does not allow. `size_bytes` is its length in UTF-8, 0 without one."""

    def __init__(self, reason: str, key: str, size_bytes: int) -> None:
        super().__init__(reason)
        self.key = key
        self.size_bytes = size_bytes


class NoSuchBucket(ObjectStoreError):
    """There is no bucket of this name."""

    def __init__(self, bucket: str, message: str | None = None) -> None:
        super().__init__(message or f"there is no bucket {bucket}: create it first")
        self.bucket = bucket


class LinkedFolderGone(NoSuchBucket):
    """The folder that a read-only bucket serves is not there any more."""

    def __init__(self, bucket: str, folder: str) -> None:
        super().__init__(
            bucket,
            f"bucket {bucket} serves {folder}, which is not there any more: "
            f"bring it back, or `clary data unlink {bucket}`",
        )


class BucketExists(ObjectStoreError):
    """The name is taken."""

    def __init__(self, bucket: str) -> None:
        super().__init__(f"there is a bucket {bucket} already: choose another name")
        self.bucket = bucket


class BucketNotEmpty(ObjectStoreError):
    """A bucket that still holds objects cannot be deleted."""

    def __init__(self, bucket: str) -> None:
        super().__init__(f"bucket {bucket} still holds objects: delete them first")
        self.bucket = bucket


class BucketIsReadOnly(ObjectStoreError):
    """A linked folder is served in place and never written."""

    def __init__(self, bucket: str) -> None:
        super().__init__(
            f"bucket {bucket} is a folder served in place and read-only: write to another bucket"
        )
        self.bucket = bucket


class NoSuchKey(ObjectStoreError):
    """There is no object of this key."""

    def __init__(self, bucket: str, key: str) -> None:
        super().__init__(f"there is no object {key!r} in bucket {bucket}")
        self.bucket = bucket
        self.key = key


class NoSuchUpload(ObjectStoreError):
    """There is no multipart upload of this id, or it was completed or aborted."""

    def __init__(self, upload: str) -> None:
        super().__init__(f"there is no multipart upload {upload}: it may be completed or aborted")
        self.upload = upload


class InvalidPart(ObjectStoreError):
    """A part that was not uploaded, or not with this ETag or checksum."""

    def __init__(self, upload: str, number: int, etag: str) -> None:
        super().__init__(f"part {number} of upload {upload} is not there as named: upload it again")
        self.upload = upload
        self.number = number
        self.etag = etag


class PartTooSmall(ObjectStoreError):
    """A part before the last one is smaller than S3 allows."""

    def __init__(self, number: int, etag: str, size: int, minimum: int) -> None:
        super().__init__(
            f"part {number} has {size} bytes; all parts but the last need at least {minimum}"
        )
        self.number = number
        self.etag = etag
        self.size = size
        self.minimum = minimum


class InvalidPartOrder(ObjectStoreError):
    """Parts are not named in ascending order."""

    def __init__(self, upload: str) -> None:
        super().__init__(f"the parts of upload {upload} are not in ascending order: sort them")
        self.upload = upload


class LongerThanAnnounced(ObjectStoreError):
    """More bytes came than had been announced, and there is no place for them."""

    def __init__(self, announced: int) -> None:
        super().__init__(f"more than the {announced} bytes came that were announced: send so many")
        self.announced = announced
