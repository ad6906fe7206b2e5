"""`clary data`: what training jobs find in S3."""

from __future__ import annotations

from pathlib import Path

from cyclopts import App
from rich.console import Console
from rich.table import Table

from clary.errors import DataError, UsageError
from clary.sdk.linking import bucket_of
from clary.sdk.session import Session
from clary.sdk.storage import list_buckets, list_objects, remove_bucket, upload

app = App(name="data", help="Put data where training jobs find it, in S3.")


@app.command
def put(source: Path, destination: str | None = None, /) -> int:
    """Copy a file or a folder into S3.

    Args:
        source: The file or folder.
        destination: An S3 URI, whose bucket is made when it is missing; NAME in the default
            bucket by default.

    Raises:
        DataError: there is no such file or folder.
        UsageError: the destination is no S3 URI.
        ServiceError: the service cannot be started, or refuses it.
    """
    uri, count = upload(Session.on_this_machine(), source.expanduser(), destination)
    print(f"{uri}  ({count} {'file' if count == 1 else 'files'})")
    return 0


@app.command
def ls(uri: str | None = None, /) -> int:
    """List buckets, or what an S3 URI holds.

    Args:
        uri: An S3 URI, such as s3://my-bucket/photos/; the buckets by default.

    Raises:
        UsageError: it is no S3 URI.
        ServiceError: the service cannot be started, or there is no such bucket.
    """
    session = Session.on_this_machine()
    console = Console(highlight=False, soft_wrap=True)
    if uri is None:
        for bucket in list_buckets(session):
            console.print(f"s3://{bucket}/", markup=False)
        return 0
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(justify="right")
    table.add_column(overflow="fold")
    for entry in list_objects(session, uri):
        table.add_row("" if entry.size is None else f"{entry.size:,}", entry.name)
    console.print(table)
    return 0


@app.command
def link(name: str | None = None, folder: Path | None = None, /) -> int:
    """Serve a folder in place, as a bucket that can only be read; nothing is copied.

    `clary data link photos/` makes up the bucket's name, `clary data link my-photos photos/`
    gives it one.

    Args:
        name: The bucket's name.
        folder: The folder.

    Raises:
        UsageError: no folder is given.
        DataError: there is no such folder.
        ServiceError: the service cannot be started, or the name is taken.
    """
    if name is None:
        raise UsageError(
            "`clary data link` needs the folder to serve, as in `clary data link photos/`"
        )
    if folder is None:
        folder, name = Path(name), None
    folder = folder.expanduser().absolute()
    if not folder.is_dir():
        raise DataError(f"there is no folder {folder}: give the folder to serve")
    bucket = name or bucket_of(folder)
    Session.on_this_machine().link_folder(bucket, folder)
    print(f"s3://{bucket}/")
    return 0


@app.command
def unlink(name: str, /) -> int:
    """Serve a folder no longer; the folder stays as it is.

    Args:
        name: The bucket's name or S3 URI.

    Raises:
        ServiceError: there is no such bucket, or it is not empty and not a link.
    """
    bucket = name.removeprefix("s3://").rstrip("/")
    remove_bucket(Session.on_this_machine(), bucket)
    print(f"s3://{bucket}/ is no longer served")
    return 0
