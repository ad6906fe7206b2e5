"""A tensor log on S3, copied as far as it is needed.

All but the raw tensors comes over with each update; they are fetched one step at a time, when
somebody asks for them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from clary.errors import StorageError, UsageError
from clary.formats.files import storage_errors
from clary.formats.tensor_log.layout import (
    COLLECTIONS,
    ENDED,
    FAILURES,
    SEGMENTS,
    TRAINING_END,
)

# What is brought at once, of Clary's log and of what smdebug's own library writes.
_SMALL = {SEGMENTS, COLLECTIONS, FAILURES, ENDED, "index"}

_BEHIND_SLASH = chr(ord("/") + 1)
# Each file takes a round trip; a client of boto3's keeps ten connections.
_AT_ONCE = 8


class Mirror:
    """Copies a log from S3 into a folder; owned and used by one thread at a time.

    Args:
        client: an S3 client of boto3's.
        uri: `s3://bucket/prefix` of the log.
        folder: where the copy goes; what an earlier mirror of the same log left is kept.
        wanted: the folders at the top of the place that come over with each update: by default
            those of a tensor log that are small.

    Raises:
        UsageError: the URI is none of S3's.
    """

    def __init__(
        self, client: Any, uri: str, folder: Path, wanted: Collection[str] = _SMALL
    ) -> None:
        parts = urlsplit(uri)
        if parts.scheme != "s3" or not parts.netloc:
            raise UsageError(f"{uri!r} is no place on S3: give s3://BUCKET/PREFIX")
        self._client = client
        self._bucket = parts.netloc
        self._prefix = parts.path.strip("/") + "/" if parts.path.strip("/") else ""
        self._folder = folder
        self._wanted = wanted
        self._seen: dict[str, str] = {}

    def update(self) -> bool:
        """Bring what is new; True when there was something.

        Raises:
            StorageError: the folder cannot be written, or S3 refuses.
        """
        news = [
            (path, tag)
            for path, tag, size in self._listed()
            if self._is_wanted(path) and not self._is_here(path, tag, size)
        ]
        if news:
            with ThreadPoolExecutor(_AT_ONCE) as pool:
                list(pool.map(self.fetch, [path for path, _ in news]))
            self._seen.update(news)
        return bool(news)

    def fetch(self, path: str) -> None:
        """Bring one file, by its path relative to the log; none where S3 has none.

        Raises:
            StorageError: the folder cannot be written, or S3 refuses.
        """
        from botocore.exceptions import BotoCoreError, ClientError

        target = self._folder / path
        # Not `replacing`: several threads bring files, and it asks for the process's umask.
        temporary = target.with_name(f".{target.name}.part")
        with storage_errors(target):
            try:
                target.parent.mkdir(parents=True, exist_ok=True)
                answer = self._client.get_object(Bucket=self._bucket, Key=self._prefix + path)
                with temporary.open("wb") as file:
                    for piece in answer["Body"].iter_chunks(1 << 20):
                        file.write(piece)
                temporary.replace(target)
            except self._client.exceptions.NoSuchKey:
                return
            except (BotoCoreError, ClientError) as error:
                raise self._refused(path, error) from error
            finally:
                temporary.unlink(missing_ok=True)

    def _listed(self) -> Iterator[tuple[str, str, int]]:
        """What S3 has, but for most of what is not wanted: raw tensors are many."""
        from botocore.exceptions import BotoCoreError, ClientError

        place = {"Bucket": self._bucket, "Prefix": self._prefix}
        more = True
        while more:
            try:
                page = self._client.list_objects_v2(**place)
            except (BotoCoreError, ClientError) as error:
                raise self._refused("", error) from error
            path = ""
            for held in page.get("Contents", ()):
                path = held["Key"][len(self._prefix) :]
                yield path, held["ETag"], held["Size"]
            more = page["IsTruncated"]
            folder, inside, _ = path.partition("/")
            if inside and folder not in self._wanted:
                # Keys are in order: this one is behind all of the folder's.
                path = folder + _BEHIND_SLASH
            place["StartAfter"] = self._prefix + path

    def _is_wanted(self, path: str) -> bool:
        parts = PurePosixPath(path).parts
        hidden = any(part.startswith(".") for part in parts)
        return path == TRAINING_END or (
            len(parts) > 1 and parts[0] in self._wanted and not hidden and not path.endswith("/")
        )

    def _is_here(self, path: str, tag: str, size: int) -> bool:
        if self._seen.get(path) == tag:
            return True
        # Segments are final: what an earlier mirror brought need not come again.
        local = self._folder / path
        return path.endswith(".sqlite") and local.exists() and local.stat().st_size == size

    def _refused(self, path: str, error: Exception) -> StorageError:
        from botocore.exceptions import NoCredentialsError

        keys = (
            ": give them in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or for a bucket of "
            "Clary's put `clary exec --` before the command"
            if isinstance(error, NoCredentialsError)
            else ""
        )
        place = f"s3://{self._bucket}/{self._prefix}{path}"
        return StorageError(f"{place} cannot be read: {error}{keys}")
