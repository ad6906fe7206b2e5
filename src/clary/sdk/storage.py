"""Files and folders to and from S3, and what is there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from clary.errors import DataError, UsageError
from clary.sdk.session import Session, spoken_faults


class Entry(NamedTuple):
    """An object, or a prefix that holds some; `size` in bytes, None for a prefix."""

    name: str
    size: int | None


def split_uri(uri: str) -> tuple[str, str]:
    """The bucket and the key of an S3 URI.

    Raises:
        UsageError: it is none.
    """
    place = urlsplit(uri)
    if place.scheme != "s3" or not place.netloc:
        raise UsageError(f"{uri} is no S3 URI: give one such as s3://my-bucket/photos/")
    return place.netloc, uri.removeprefix(f"s3://{place.netloc}").removeprefix("/")


def upload(session: Session, source: Path, destination: str | None = None) -> tuple[str, int]:
    """Copy a file or a folder into S3.

    Args:
        session: of the account.
        source: a file or a folder; of a folder all files, with their places in it.
        destination: an S3 URI; the name of `source` in the default bucket when not given. A file
            goes below it where it ends in `/`. A bucket that is missing is made, but not on AWS.

    Returns:
        The URI of the file or of the folder, and the number of files.

    Raises:
        DataError: there is no such file or folder.
        UsageError: `destination` is no S3 URI.
        ServiceError: the service refuses it.
    """
    if not source.exists():
        raise DataError(f"there is no file or folder {source}: give one to upload")
    bucket, key = split_uri(destination or f"s3://{session.default_bucket}/{source.resolve().name}")
    if session.settings is not None and bucket not in list_buckets(session):
        session.create_bucket(bucket)
    client = session.client("s3")
    if not source.is_dir():
        key = f"{key}{source.name}" if key.endswith("/") or not key else key
        with spoken_faults():
            client.upload_file(str(source), bucket, key)
        return f"s3://{bucket}/{key}", 1
    prefix = key if not key or key.endswith("/") else f"{key}/"
    count = 0
    for file in sorted(path for path in source.rglob("*") if path.is_file()):
        with spoken_faults():
            client.upload_file(str(file), bucket, prefix + file.relative_to(source).as_posix())
        count += 1
    return f"s3://{bucket}/{prefix}", count


def list_buckets(session: Session) -> list[str]:
    """The names of all buckets.

    Raises:
        ServiceError: the service refuses or does not answer.
    """
    with spoken_faults():
        return [bucket["Name"] for bucket in session.client("s3").list_buckets()["Buckets"]]


def list_objects(session: Session, uri: str) -> Iterator[Entry]:
    """What lies directly below an S3 URI.

    Raises:
        UsageError: it is none.
        ServiceError: there is no such bucket, or the service does not answer.
    """
    bucket, prefix = split_uri(uri)
    pages = session.client("s3").get_paginator("list_objects_v2")
    with spoken_faults():
        for page in pages.paginate(Bucket=bucket, Prefix=prefix, Delimiter="/"):
            for folder in page.get("CommonPrefixes", ()):
                yield Entry(folder["Prefix"], None)
            for found in page.get("Contents", ()):
                yield Entry(found["Key"], found["Size"])


def remove_bucket(session: Session, bucket: str) -> None:
    """Remove an empty bucket, or stop serving a folder.

    Raises:
        ServiceError: it holds objects of its own, or there is none.
    """
    with spoken_faults():
        session.client("s3").delete_bucket(Bucket=bucket)
