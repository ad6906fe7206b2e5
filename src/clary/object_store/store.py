"""The store: buckets of objects as plain folders and files below one root."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from clary.formats.files import storage_errors
from clary.object_store import descriptions
from clary.object_store.assembling import copy_range
from clary.object_store.buckets import Buckets
from clary.object_store.digests import Digests
from clary.object_store.errors import (
    BucketNotEmpty,
    NoSuchBucket,
    NoSuchKey,
)
from clary.object_store.finding import Finding
from clary.object_store.folders import whole_folder
from clary.object_store.index import Index
from clary.object_store.listing import list_page
from clary.object_store.names import key_bytes
from clary.object_store.objects import BucketInfo, Description, Listing, ObjectInfo, OpenObject
from clary.object_store.places import Places
from clary.object_store.placing import Condition, Placing
from clary.object_store.receiving import Readable, blocks, received, temporary_file
from clary.object_store.reconciling import reconcile
from clary.object_store.uploads import Uploads


class ObjectStore:
    """Buckets and objects below `root`, as `clary.object_store.places` lays them out.

    Owned by one process; any of its threads may call. Errors are those of
    `clary.object_store.errors`, and StorageError when the disk is full or cannot be written.
    """

    def __init__(self, root: Path) -> None:
        self._places = places = Places(root)
        with storage_errors(root):
            shutil.rmtree(places.temporary, ignore_errors=True)
            for folder in (places.temporary, places.uploads):
                folder.mkdir(parents=True, exist_ok=True)
        self._index = Index(places.index_file)
        self._buckets = Buckets(places, self._index)
        self._finding = Finding(self._index)
        self._placing = Placing(places, self._index, self._finding)
        self.uploads = Uploads(places, self._index, self._finding, self._placing)

    def close(self) -> None:
        """Let go of the index. What is being written is not waited for."""
        self._index.close()

    # Buckets ----------------------------------------------------------------------------------

    def create_bucket(self, name: str) -> BucketInfo:
        """Make an empty bucket.

        Raises:
            InvalidBucketName: S3 does not allow the name.
            BucketExists: the name is taken.
            StorageError: the root cannot be written.
        """
        return self._buckets.create(name)

    def link(self, name: str, folder: Path) -> BucketInfo:
        """Serve a folder in place, as a bucket that is only read. Linking it again is fine.

        Raises:
            InvalidBucketName: S3 does not allow the name.
            BucketExists: the name is taken by something else.
            DataError: there is no such folder.
            StorageError: the root cannot be written.
        """
        return self._buckets.link(name, folder)

    def unlink(self, name: str) -> None:
        """Serve a linked folder no more; the folder stays as it is.

        Raises:
            NoSuchBucket: no folder is linked under this name.
            StorageError: the root cannot be written.
        """
        self._buckets.unlink(name)

    def buckets(self) -> list[BucketInfo]:
        """All buckets by name; a folder that was made by hand is one, if its name may be."""
        return self._buckets.all()

    def bucket(self, name: str) -> BucketInfo:
        """One bucket.

        Raises:
            NoSuchBucket: there is none, or the folder that it serves is gone.
        """
        return self._buckets.info(name)

    def has_bucket(self, name: str) -> bool:
        """Whether there is a bucket of this name."""
        try:
            self._places.bucket(name)
        except NoSuchBucket:
            return False
        return True

    def is_linked(self, name: str) -> bool:
        """Whether a name stands for a folder served in place, be the folder there or gone."""
        return self._places.is_link(name)

    def delete_bucket(self, name: str) -> None:
        """Remove an empty bucket, with the uploads that are under way in it.

        Raises:
            NoSuchBucket: there is none.
            BucketIsReadOnly: it serves a folder in place; `unlink` it.
            BucketNotEmpty: it holds objects.
            StorageError: the root cannot be written.
        """
        self._places.writable(name)
        if self.list(name, limit=1).objects:
            raise BucketNotEmpty(name)
        with self._placing.alone():
            bucket = self._buckets.remove(name)
            self.uploads.abort_all(name)
            self._buckets.forget(bucket)

    # Objects ----------------------------------------------------------------------------------

    def put(
        self,
        bucket: str,
        key: str,
        source: Path | Readable,
        *,
        content_type: str | None = None,
        metadata: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
        algorithms: Collection[str] = (),
        check: Callable[[Digests], None] | None = None,
        condition: Condition | None = None,
    ) -> ObjectInfo:
        """Store an object; readers see the earlier one until this one is whole and on the disk.

        Args:
            bucket: its bucket.
            key: any that S3 allows.
            source: a file, or something to read from.
            content_type: None for AWS's default.
            metadata: the user's.
            headers: standard ones by botocore's names, such as `CacheControl`.
            tags: of the object.
            algorithms: checksums to take and keep, of `clary.object_store.digests.ALGORITHMS`.
            check: may refuse what came by raising.
            condition: may refuse in view of the object that has the key now by raising.

        Raises:
            NoSuchBucket: there is no such bucket.
            BucketIsReadOnly: it serves a folder in place.
            InvalidKey: S3 does not allow the key.
            StorageError: the disk is full, or the folder cannot be written.
        """
        target = self._places.writable(bucket)
        encoded = key_bytes(key)
        if isinstance(source, Path):
            with storage_errors(source):
                file = source.open("rb")
            with file:
                return self.put(
                    bucket,
                    key,
                    file,
                    content_type=content_type,
                    metadata=metadata,
                    headers=headers,
                    tags=tags,
                    algorithms=algorithms,
                    check=check,
                    condition=condition,
                )
        given = blocks(source)
        with received(self._places.temporary, given, algorithms, check) as (path, digests):
            description = Description(
                etag=digests.etag,
                content_type=content_type,
                metadata=metadata or {},
                headers=headers or {},
                tags=tags or {},
                checksums=digests.checksums,
            )
            return self._placing.place(target, encoded, path, description, condition)

    def adopt(
        self, bucket: str, key: str, path: Path, *, content_type: str | None = None
    ) -> ObjectInfo:
        """Store a finished file without copying or reading it: both names lead to the same bytes.

        The file stays where it is and must not be changed in place any more. Where a hard link
        cannot be made it is copied.

        Raises:
            NoSuchBucket: there is no such bucket.
            BucketIsReadOnly: it serves a folder in place.
            InvalidKey: S3 does not allow the key.
            StorageError: the file is gone, the disk is full or cannot be written.
        """
        target = self._places.writable(bucket)
        encoded = key_bytes(key)
        linked = self._places.temporary / f"{os.getpid()}-adopted-{time.monotonic_ns()}"
        try:
            os.link(path, linked, follow_symlinks=True)
        except OSError:
            return self.put(bucket, key, path, content_type=content_type)
        try:
            with storage_errors(path), path.open("rb") as file:
                os.fsync(file.fileno())
                state = os.fstat(file.fileno())
            description = descriptions.undescribed(encoded, state)
            if content_type is not None:
                description = replace(description, content_type=content_type)
            return self._placing.place(target, encoded, linked, description)
        finally:
            with suppress(FileNotFoundError):
                linked.unlink()

    def copy(
        self,
        source: OpenObject,
        bucket: str,
        key: str,
        description: Description,
        *,
        algorithms: Collection[str] = (),
        condition: Condition | None = None,
    ) -> ObjectInfo:
        """Store an open object under another key, with a description; ETag and sums are taken.

        Bytes whose MD5 and checksums are known are copied by the kernel.

        Raises:
            NoSuchBucket: there is no such bucket.
            BucketIsReadOnly: it serves a folder in place.
            InvalidKey: S3 does not allow the key.
            StorageError: the disk is full, or the folder cannot be written.
        """
        known = source.info.description
        if "-" in known.etag or set(algorithms) - set(known.checksums):
            return self.put(
                bucket,
                key,
                source.file,
                content_type=description.content_type,
                metadata=description.metadata,
                headers=description.headers,
                tags=description.tags,
                algorithms=algorithms or known.checksums,
                condition=condition,
            )
        target = self._places.writable(bucket)
        encoded = key_bytes(key)
        with temporary_file(self._places.temporary) as (path, descriptor):
            copy_range(source.file.fileno(), 0, source.info.size, descriptor, path)
            with storage_errors(path):
                os.fsync(descriptor)
            kept = {name: known.checksums[name] for name in algorithms or known.checksums}
            description = replace(description, etag=known.etag, checksums=kept)
            return self._placing.place(target, encoded, path, description, condition)

    def info(self, bucket: str, key: str) -> ObjectInfo:
        """An object as it is now.

        Raises:
            NoSuchBucket: there is no such bucket.
            NoSuchKey: there is no such object.
            InvalidKey: S3 does not allow the key.
        """
        found = self._finding.current(self._places.bucket(bucket), key_bytes(key))
        if found is None:
            raise NoSuchKey(bucket, key)
        return found

    def open(self, bucket: str, key: str) -> OpenObject:
        """An object with its bytes, which stay what they are whatever is put meanwhile.

        Raises:
            NoSuchBucket: there is no such bucket.
            NoSuchKey: there is no such object.
            InvalidKey: S3 does not allow the key.
            PermissionError: the file may not be read.
        """
        opened = self._finding.open(self._places.bucket(bucket), key_bytes(key))
        if opened is None:
            raise NoSuchKey(bucket, key)
        return opened

    def delete(self, bucket: str, key: str, condition: Condition | None = None) -> bool:
        """Remove an object; False when there was none.

        Raises:
            NoSuchBucket: there is no such bucket.
            BucketIsReadOnly: it serves a folder in place.
            InvalidKey: S3 does not allow the key.
            StorageError: the file cannot be removed.
        """
        return self._placing.remove(self._places.writable(bucket), key_bytes(key), condition)

    def set_tags(self, bucket: str, key: str, tags: Mapping[str, str]) -> ObjectInfo:
        """Replace the tags of an object.

        Raises:
            NoSuchBucket: there is no such bucket.
            BucketIsReadOnly: it serves a folder in place.
            NoSuchKey: there is no such object.
            InvalidKey: S3 does not allow the key.
        """
        target = self._places.writable(bucket)
        changed = self._placing.redescribe(
            target, key_bytes(key), lambda info: replace(info.description, tags=dict(tags))
        )
        if changed is None:
            raise NoSuchKey(bucket, key)
        return changed

    # Listings ---------------------------------------------------------------------------------

    def list(
        self,
        bucket: str,
        prefix: str = "",
        delimiter: str = "",
        after: str = "",
        limit: int = 1000,
        *,
        continued: bool = False,
    ) -> Listing:
        """A page of objects and common prefixes, by the bytes of the keys.

        Args:
            bucket: its name.
            prefix: keys that begin so.
            delimiter: what comes behind it is rolled up into a common prefix.
            after: keys behind this one, or the `next` of an earlier page.
            limit: objects and prefixes together.
            continued: it follows another page, so files dropped in by hand since then may wait.

        Raises:
            NoSuchBucket: there is no such bucket.
        """
        place = self._places.bucket(bucket)
        encoded = prefix.encode("utf-8", "surrogatepass")
        if not continued:
            reconcile(self._index, place, encoded)
        return list_page(
            self._index,
            self._finding,
            self._placing.tidy,
            place,
            prefix=encoded,
            delimiter=delimiter.encode("utf-8", "surrogatepass"),
            after=after.encode("utf-8", "surrogatepass"),
            limit=limit,
        )

    def iterate(self, bucket: str, prefix: str = "") -> Iterator[ObjectInfo]:
        """All objects under a prefix.

        Raises:
            NoSuchBucket: there is no such bucket.
        """
        page = self.list(bucket, prefix)
        yield from page.objects
        while page.next is not None:
            page = self.list(bucket, prefix, after=page.next, continued=True)
            yield from page.objects

    def folder(self, bucket: str, prefix: str) -> Path | None:
        """The folder that holds exactly the objects under a prefix; None where there is none.

        Keys that end in `/`, which stand for empty folders, are not counted.

        Raises:
            NoSuchBucket: there is no such bucket.
        """
        place = self._places.bucket(bucket)
        encoded = prefix.encode("utf-8", "surrogatepass")
        reconcile(self._index, place, encoded)
        return whole_folder(self._index, place, encoded)
