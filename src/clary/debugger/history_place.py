"""Where a history lies: a folder, or a copy of what is on S3."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from clary.debugger.history_source import Source
from clary.debugger.original_files import OriginalFiles
from clary.formats.tensor_log import Mirror, TensorLog


class HistoryPlace:
    """A folder in which a log lies or will lie; the copy of one on S3 goes with this object.

    Args:
        place: a folder, which need not exist yet, or `s3://bucket/prefix`.
        client: boto3's S3 client; made from the environment where it is needed.

    Raises:
        UsageError: the URI is none of S3's.
        StorageError: S3 refuses, or the copy cannot be written.
    """

    def __init__(self, place: str | Path, client: Any | None = None) -> None:
        self._mirror: Mirror | None = None
        if not str(place).startswith("s3://"):
            self.folder = Path(place)
            return
        if client is None:
            import boto3

            client = boto3.client("s3")
        self._temporary = tempfile.TemporaryDirectory(prefix="clary-history-")
        self.folder = Path(self._temporary.name)
        self._mirror = Mirror(client, str(place), self.folder)
        self._mirror.update()

    def update(self) -> None:
        """Bring what is new on S3.

        Raises:
            StorageError: S3 refuses, or the copy cannot be written.
        """
        if self._mirror is not None:
            self._mirror.update()

    def is_another(self, source: Source) -> bool:
        """Whether a place that held nothing turned out to hold another format than `source`'s."""
        return (
            isinstance(source, TensorLog)
            and not source.workers
            and OriginalFiles.are_in(self.folder)
        )

    def source(self) -> Source:
        """What reads the folder, by what is in it.

        Raises:
            FormatError: a file is damaged, or of a later version.
        """
        fetch = None if self._mirror is None else self._mirror.fetch
        if OriginalFiles.are_in(self.folder):
            return OriginalFiles(self.folder, fetch=fetch)
        return TensorLog(self.folder, fetch=fetch)
