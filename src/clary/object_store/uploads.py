"""Multipart uploads: parts in any order and any number of threads, then one object."""

from __future__ import annotations

import itertools
import json
import os
import secrets
import shutil
import threading
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from zlib import crc32

from clary.formats.files import storage_errors
from clary.object_store import descriptions
from clary.object_store.assembling import COMMON_FILE, Layouts, copy_range, is_whole
from clary.object_store.digests import COMBINABLE, Digests, combined, composite, multipart_etag
from clary.object_store.errors import InvalidPart, InvalidPartOrder, NoSuchUpload, PartTooSmall
from clary.object_store.finding import Finding
from clary.object_store.index import Index, PartRow
from clary.object_store.names import key_bytes
from clary.object_store.objects import Description, ObjectInfo, PartInfo, UploadInfo
from clary.object_store.places import Bucket, Places
from clary.object_store.placing import Condition, Placing
from clary.object_store.receiving import temporary_file, write_blocks
from clary.object_store.upload_rows import UploadRows, part_info

SMALLEST_PART_BYTES = 5 << 20


class Uploads:
    """The multipart uploads of a store. Any thread may call."""

    def __init__(self, places: Places, index: Index, finding: Finding, placing: Placing) -> None:
        self._places = places
        self._rows = UploadRows(index)
        self._finding = finding
        self._placing = placing
        self._layouts = Layouts()
        self._locks = [threading.Lock() for _ in range(64)]
        self._clear_leftovers()

    def begin(
        self,
        bucket: str,
        key: str,
        description: Description,
        algorithm: str | None = None,
        checksum_type: str | None = None,
    ) -> UploadInfo:
        """Begin an upload; its parts have checksums by `algorithm`.

        Raises:
            NoSuchBucket: there is no such bucket.
            BucketIsReadOnly: the bucket serves a folder in place.
            InvalidKey: S3 does not allow the key.
        """
        place = self._places.writable(bucket)
        encoded = key_bytes(key)
        now = time.time_ns()
        upload = UploadInfo(
            id=secrets.token_urlsafe(48),
            bucket=bucket,
            key=key,
            created=descriptions.moment(now),
            description=description,
            algorithm=algorithm,
            checksum_type=checksum_type,
        )
        folder = self._folder(upload.id)
        with self._placing.lock(place, encoded), storage_errors(folder):
            self._places.writable(bucket)  # it may have been deleted before the lock was had
            folder.mkdir()
            self._layouts.begin(upload.id)
            self._rows.add(upload, now)
        return upload

    def get(self, bucket: str, key: str, upload: str) -> UploadInfo:
        """An upload that is under way.

        Raises:
            NoSuchBucket: there is no such bucket.
            NoSuchUpload: there is none of this id for this key.
        """
        self._places.bucket(bucket)
        return self._rows.get(bucket, key_bytes(key), upload)

    def under_way(self, bucket: str) -> list[UploadInfo]:
        """The uploads of a bucket, by key, then by the time they began.

        Raises:
            NoSuchBucket: there is no such bucket.
        """
        self._places.bucket(bucket)
        return self._rows.under_way(bucket)

    def parts(self, upload: UploadInfo) -> list[PartInfo]:
        """The parts that have come, by number."""
        return [part_info(row) for row in self._rows.parts(upload.id)]

    def put_part(
        self,
        upload: UploadInfo,
        number: int,
        given: Iterable[bytes],
        *,
        size: int | None = None,
        algorithms: Collection[str] = (),
        check: Callable[[Digests], None] | None = None,
    ) -> PartInfo:
        """Store a part; an earlier one of the same number is replaced when this one is whole.

        Args:
            upload: as `get` gave it.
            number: from 1 to 10,000.
            given: the bytes, block by block.
            size: how many there will be, where known.
            algorithms: checksums to take and keep.
            check: may refuse what came by raising.

        Raises:
            NoSuchUpload: the upload was completed or aborted meanwhile.
            LongerThanAnnounced: more bytes came than `size`.
            StorageError: the disk is full.
        """
        folder = self._folder(upload.id)
        with self._layouts.slot(upload.id, number, size) as slot:
            path = folder / slot.file
            try:
                flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
                descriptor = os.open(path, flags, 0o666)
            except FileNotFoundError as error:
                raise NoSuchUpload(upload.id) from error
            try:
                digests = write_blocks(
                    descriptor, given, algorithms, path=path, offset=slot.offset, size=size
                )
                if check is not None:
                    check(digests)
                # Now, while other parts are on their way: little is left for the completion.
                with storage_errors(path):
                    os.fsync(descriptor)
            finally:
                os.close(descriptor)
            row = PartRow(
                number,
                slot.file,
                slot.offset,
                digests.size,
                digests.etag,
                json.dumps(digests.checksums),
                time.time_ns(),
            )
            earlier = self._rows.put_part(upload.id, row)
            if earlier is not None and earlier.file not in {COMMON_FILE, slot.file}:
                (folder / earlier.file).unlink(missing_ok=True)
        return part_info(row)

    def complete(
        self,
        upload: UploadInfo,
        wanted: Sequence[PartInfo],
        check: Callable[[Description, int], None] | None = None,
        condition: Condition | None = None,
    ) -> ObjectInfo:
        """Make the object of the named parts.

        Args:
            upload: as `get` gave it.
            wanted: numbers with their ETags, and checksums where given.
            check: may refuse the description and size of the object by raising.
            condition: may refuse in view of the object that has the key now.

        Raises:
            InvalidPart: a part was not uploaded, or differently.
            InvalidPartOrder: the numbers do not ascend.
            PartTooSmall: one before the last has less than 5 MiB.
            NoSuchUpload: the upload was completed or aborted meanwhile.
            StorageError: the disk is full.
        """
        bucket = self._places.writable(upload.bucket)
        key = key_bytes(upload.key)
        with self._locks[crc32(upload.id.encode()) % len(self._locks)]:
            self._rows.get(upload.bucket, key, upload.id)
            parts = self._select(upload, wanted)
            description = _describe(upload, [part_info(part) for part in parts])
            if check is not None:
                check(description, sum(part.size for part in parts))
            undisturbed = self._layouts.seal(upload.id)
            try:
                info = self._place(
                    bucket,
                    key,
                    upload,
                    parts,
                    description=description,
                    condition=condition,
                    undisturbed=undisturbed,
                )
            except (EOFError, FileNotFoundError) as error:
                # A kill after the file had got its name and before the upload was forgotten.
                done = self._finding.current(bucket, key)
                if done is None or done.etag != description.etag:
                    raise InvalidPart(upload.id, parts[0].number, parts[0].etag) from error
                info = done
            self._rows.complete(upload, info.description)
            self._clear(upload.id)
        return info

    def completed(
        self, bucket: str, key: str, upload: str, wanted: Sequence[PartInfo]
    ) -> Description | None:
        """What an upload became that was completed with these parts within the last day.

        Args:
            bucket: of the upload.
            key: of the upload.
            upload: its id.
            wanted: as `complete` was given them.
        """
        description = self._rows.completed(bucket, key_bytes(key), upload)
        if description is None:
            return None
        numbers = [part.number for part in description.parts]
        try:
            same = description.etag == multipart_etag([part.etag for part in wanted])
        except ValueError:  # an ETag that is no MD5
            return None
        return description if same and numbers == [part.number for part in wanted] else None

    def abort(self, upload: UploadInfo) -> None:
        """Throw the parts away."""
        self._finish(upload.id)

    def abort_all(self, bucket: str) -> None:
        """Throw away the parts of all uploads of a bucket that is about to go."""
        for upload in self._rows.under_way(bucket):
            self._finish(upload.id)

    def _select(self, upload: UploadInfo, wanted: Sequence[PartInfo]) -> list[PartRow]:
        numbers = [part.number for part in wanted]
        if any(second <= first for first, second in itertools.pairwise(numbers)):
            raise InvalidPartOrder(upload.id)
        present = {part.number: part for part in self._rows.parts(upload.id)}
        chosen = []
        for part in wanted:
            row = present.get(part.number)
            if row is None or row.etag != part.etag:
                raise InvalidPart(upload.id, part.number, part.etag)
            kept = json.loads(row.checksums)
            if any(kept.get(name) != value for name, value in part.checksums.items()):
                raise InvalidPart(upload.id, part.number, part.etag)
            chosen.append(row)
        for row in chosen[:-1]:
            if row.size < SMALLEST_PART_BYTES:
                raise PartTooSmall(row.number, row.etag, row.size, SMALLEST_PART_BYTES)
        return chosen

    def _place(
        self,
        bucket: Bucket,
        key: bytes,
        upload: UploadInfo,
        parts: Sequence[PartRow],
        *,
        description: Description,
        condition: Condition | None,
        undisturbed: bool,
    ) -> ObjectInfo:
        folder = self._folder(upload.id)
        if undisturbed and is_whole(parts):
            path = folder / parts[0].file
            descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
            try:
                end = parts[-1].offset + parts[-1].size
                if os.fstat(descriptor).st_size < end:
                    raise EOFError(f"{path} has less than {end} bytes")
                with storage_errors(path):
                    os.ftruncate(descriptor, end)
                    os.utime(descriptor)
                    os.fsync(descriptor)
            finally:
                os.close(descriptor)
            return self._placing.place(bucket, key, path, description, condition)
        with temporary_file(self._places.temporary) as (path, target):
            for part in parts:
                source = os.open(folder / part.file, os.O_RDONLY | os.O_CLOEXEC)
                try:
                    copy_range(source, part.offset, part.size, target, path)
                finally:
                    os.close(source)
            with storage_errors(path):
                os.fsync(target)
            return self._placing.place(bucket, key, path, description, condition)

    def _finish(self, upload: str) -> None:
        self._rows.remove(upload)
        self._clear(upload)

    def _clear(self, upload: str) -> None:
        self._layouts.forget(upload)
        shutil.rmtree(self._folder(upload), ignore_errors=True)

    def _folder(self, upload: str) -> Path:
        return self._places.uploads / upload

    def _clear_leftovers(self) -> None:
        """Remove what is left of uploads that were forgotten, or whose bucket is gone."""
        for bucket in self._rows.buckets():
            if not (self._places.root / bucket).is_dir():
                self.abort_all(bucket)
        known = self._rows.ids()
        for folder in self._places.uploads.iterdir():
            if folder.name not in known:
                shutil.rmtree(folder, ignore_errors=True)


def _describe(upload: UploadInfo, parts: Sequence[PartInfo]) -> Description:
    description = replace(
        upload.description,
        etag=multipart_etag([part.etag for part in parts]),
        parts=tuple(
            PartInfo(number=part.number, size=part.size, checksums=part.checksums) for part in parts
        ),
    )
    algorithm = upload.algorithm
    if algorithm is None or not all(algorithm in part.checksums for part in parts):
        return description
    if upload.checksum_type == "FULL_OBJECT" and algorithm in COMBINABLE:
        whole = combined(algorithm, [(part.checksums[algorithm], part.size) for part in parts])
        return replace(description, checksums={algorithm: whole}, checksum_type="FULL_OBJECT")
    checksum = composite(algorithm, [part.checksums[algorithm] for part in parts])
    return replace(description, checksums={algorithm: checksum}, checksum_type="COMPOSITE")
