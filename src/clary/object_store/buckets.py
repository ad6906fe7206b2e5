"""Buckets as folders of the root, and folders elsewhere that are served as buckets."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

from clary.errors import DataError
from clary.formats.files import storage_errors
from clary.object_store.descriptions import moment
from clary.object_store.errors import BucketExists, BucketNotEmpty, NoSuchBucket
from clary.object_store.index import Index
from clary.object_store.names import check_bucket_name
from clary.object_store.objects import BucketInfo
from clary.object_store.places import Bucket, Places, force_names


class Buckets:
    """Makes, finds and removes buckets. Any thread may call."""

    def __init__(self, places: Places, index: Index) -> None:
        self._places = places
        self._index = index

    def create(self, name: str) -> BucketInfo:
        """Make an empty bucket.

        Raises:
            InvalidBucketName: S3 does not allow the name.
            BucketExists: the name is taken.
            StorageError: the root cannot be written.
        """
        check_bucket_name(name)
        folder = self._places.root / name
        with storage_errors(folder):
            try:
                folder.mkdir()
            except FileExistsError as error:
                raise BucketExists(name) from error
            force_names(os.fsencode(self._places.root))
        self._index.add_bucket(name, time.time_ns())
        return self.info(name)

    def link(self, name: str, folder: Path) -> BucketInfo:
        """Serve a folder in place; again is fine.

        Raises:
            InvalidBucketName: S3 does not allow the name.
            BucketExists: the name is taken by something else.
            DataError: there is no such folder.
            StorageError: the root cannot be written.
        """
        check_bucket_name(name)
        folder = folder.expanduser().resolve()
        if not folder.is_dir():
            raise DataError(f"{folder} is no folder: name one to serve as bucket {name}")
        link = self._places.root / name
        with storage_errors(link):
            try:
                link.symlink_to(folder, target_is_directory=True)
            except FileExistsError as error:
                if not link.is_symlink() or link.readlink() != folder:
                    raise BucketExists(name) from error
                return self.info(name)
        self._index.add_bucket(name, time.time_ns())
        return self.info(name)

    def unlink(self, name: str) -> None:
        """Serve a linked folder no more.

        Raises:
            NoSuchBucket: no folder is linked under this name.
            StorageError: the root cannot be written.
        """
        if not self._places.is_link(name):
            raise NoSuchBucket(name, f"no folder is linked as bucket {name}")
        link = self._places.root / name
        with storage_errors(link):
            link.unlink()
        self.forget(Bucket(name, os.fsencode(self._places.root), linked=True))

    def all(self) -> list[BucketInfo]:
        """All buckets by name."""
        found = []
        for entry in sorted(self._places.root.iterdir()):
            with suppress(NoSuchBucket):
                found.append(self.info(entry.name))
        return found

    def info(self, name: str) -> BucketInfo:
        """One bucket.

        Raises:
            NoSuchBucket: there is none, or the folder that it serves is gone.
        """
        bucket = self._places.bucket(name)
        folder = self._places.root / name
        created_ns = self._index.created(name) or folder.lstat().st_mtime_ns
        return BucketInfo(name, moment(created_ns), folder.readlink() if bucket.linked else None)

    def remove(self, name: str) -> Bucket:
        """Remove the folders of a bucket that holds no objects; `forget` what is known of it then.

        Raises:
            NoSuchBucket: there is none.
            BucketIsReadOnly: it serves a folder in place.
            BucketNotEmpty: something is in it, perhaps no object: a link, a pipe.
        """
        bucket = self._places.writable(name)
        # Aside first: as long as anything lies there, the bucket is still to be seen.
        for top in (bucket.aside, bucket.path):
            for path, _, _ in os.walk(bucket.root + b"/" + top, topdown=False):
                try:
                    Path(os.fsdecode(path)).rmdir()
                except OSError as error:
                    raise BucketNotEmpty(name) from error
        return bucket

    def forget(self, bucket: Bucket) -> None:
        """Remove all that the index knows of a bucket."""
        for path in (bucket.path, bucket.aside):
            self._index.forget_folder(path)
        self._index.forget_bucket(bucket.name)
