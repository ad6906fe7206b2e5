"""Multipart uploads in the index: what is under way, and which parts have come."""

from __future__ import annotations

import json
import time

from clary.object_store import descriptions
from clary.object_store.errors import NoSuchUpload
from clary.object_store.index import Index, PartRow, UploadRow
from clary.object_store.objects import Description, PartInfo, UploadInfo

_DAY_NS = 24 * 60 * 60 * 10**9


class UploadRows:
    """The tables `uploads`, `parts` and `completions`. Any thread may call."""

    def __init__(self, index: Index) -> None:
        self._index = index

    def add(self, upload: UploadInfo, created_ns: int) -> None:
        """Note that an upload began."""
        details = {
            "description": descriptions.encode(upload.description),
            "algorithm": upload.algorithm,
            "checksum_type": upload.checksum_type,
        }
        row = UploadRow(
            upload.id, upload.bucket, upload.key.encode(), created_ns, json.dumps(details)
        )
        with self._index.writing() as connection:
            connection.execute("INSERT INTO uploads VALUES (?, ?, ?, ?, ?)", row)

    def get(self, bucket: str, key: bytes, upload: str) -> UploadInfo:
        """An upload that is under way.

        Raises:
            NoSuchUpload: there is none of this id for this key.
        """
        found = self._index.reading.execute(
            "SELECT id, bucket, key, created_ns, details FROM uploads "
            "WHERE id = ? AND bucket = ? AND key = ?",
            (upload, bucket, key),
        ).fetchone()
        if found is None:
            raise NoSuchUpload(upload)
        return _decoded(UploadRow._make(found))

    def under_way(self, bucket: str) -> list[UploadInfo]:
        """The uploads of a bucket, by key, then by the time they began."""
        found = self._index.reading.execute(
            "SELECT id, bucket, key, created_ns, details FROM uploads WHERE bucket = ? "
            "ORDER BY key, created_ns, id",
            (bucket,),
        )
        return [_decoded(UploadRow._make(row)) for row in found]

    def ids(self) -> set[str]:
        """Of all uploads that are under way."""
        return {upload for (upload,) in self._index.reading.execute("SELECT id FROM uploads")}

    def buckets(self) -> list[str]:
        """The buckets of all uploads that are under way."""
        found = self._index.reading.execute("SELECT DISTINCT bucket FROM uploads")
        return [bucket for (bucket,) in found]

    def remove(self, upload: str) -> None:
        """Forget an upload and its parts."""
        with self._index.writing() as connection:
            connection.execute("DELETE FROM parts WHERE upload = ?", (upload,))
            connection.execute("DELETE FROM uploads WHERE id = ?", (upload,))

    def complete(self, upload: UploadInfo, details: Description) -> None:
        """Forget an upload and its parts, and keep for a day what it became.

        A client that heard no answer to its completion asks again.
        """
        now = time.time_ns()
        completed = (upload.id, upload.bucket, upload.key.encode(), now)
        with self._index.writing() as connection:
            connection.execute("DELETE FROM parts WHERE upload = ?", (upload.id,))
            connection.execute("DELETE FROM uploads WHERE id = ?", (upload.id,))
            connection.execute("DELETE FROM completions WHERE completed_ns < ?", (now - _DAY_NS,))
            connection.execute(
                "INSERT OR REPLACE INTO completions VALUES (?, ?, ?, ?, ?)",
                (*completed, descriptions.encode(details)),
            )

    def completed(self, bucket: str, key: bytes, upload: str) -> Description | None:
        """What an upload became within the last day; None when it is not known."""
        found = self._index.reading.execute(
            "SELECT details FROM completions WHERE upload = ? AND bucket = ? AND key = ?",
            (upload, bucket, key),
        ).fetchone()
        return None if found is None else descriptions.decode(found[0])

    def parts(self, upload: str) -> list[PartRow]:
        """The parts that have come, by number."""
        found = self._index.reading.execute(
            "SELECT number, file, offset, size, etag, checksums, modified_ns FROM parts "
            "WHERE upload = ? ORDER BY number",
            (upload,),
        )
        return [PartRow._make(row) for row in found]

    def put_part(self, upload: str, part: PartRow) -> PartRow | None:
        """Note that a part has come; the one that it replaces, if any.

        Raises:
            NoSuchUpload: the upload was completed or aborted meanwhile.
        """
        with self._index.writing() as connection:
            if connection.execute("SELECT 1 FROM uploads WHERE id = ?", (upload,)).fetchone():
                earlier = next(
                    (row for row in self.parts(upload) if row.number == part.number), None
                )
                connection.execute(
                    "INSERT OR REPLACE INTO parts VALUES (?, ?, ?, ?, ?, ?, ?, ?)", (upload, *part)
                )
                return earlier
        raise NoSuchUpload(upload)


def part_info(row: PartRow) -> PartInfo:
    """A part as callers see it."""
    return PartInfo(
        number=row.number,
        size=row.size,
        etag=row.etag,
        checksums=json.loads(row.checksums),
        modified=descriptions.moment(row.modified_ns),
    )


def _decoded(row: UploadRow) -> UploadInfo:
    details = json.loads(row.details)
    return UploadInfo(
        id=row.id,
        bucket=row.bucket,
        key=row.key.decode(),
        created=descriptions.moment(row.created_ns),
        description=descriptions.decode(details["description"]),
        algorithm=details["algorithm"],
        checksum_type=details["checksum_type"],
    )
