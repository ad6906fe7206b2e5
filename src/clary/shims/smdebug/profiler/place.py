"""Where the files of a job's profiler lie: a folder, or a copy of what is on S3."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

from clary.errors import StorageError, UsageError
from clary.formats.tensor_log.mirror import Mirror

from ..exceptions import SMDebugRuntimeError, SMDebugValueError


class ProfilerPlace:
    """A `profiler-output`, some of its folders. The copy of one on S3 goes with this object."""

    def __init__(self, path: str | os.PathLike[str], *wanted: str, client: Any = None) -> None:
        """Bring what is there.

        Args:
            path: a folder, which need not exist yet, or `s3://bucket/prefix`.
            wanted: the folders in it that are read, such as `system`.
            client: boto3's S3 client; made from the environment where it is needed.

        Raises:
            SMDebugValueError: the path is no place.
            SMDebugRuntimeError: S3 refuses, or the copy cannot be written.
        """
        self.path = os.fspath(path).rstrip("/")
        self._mirror: Mirror | None = None
        if not self.path.startswith("s3://"):
            self.folder = Path(self.path).expanduser()
            return
        if client is None:
            import boto3

            client = boto3.client("s3")
        self._temporary = tempfile.TemporaryDirectory(prefix="clary-profile-")
        self.folder = Path(self._temporary.name)
        try:
            self._mirror = Mirror(client, self.path, self.folder, frozenset(wanted))
        except UsageError as error:
            raise SMDebugValueError(str(error)) from error
        self.update()

    def update(self) -> None:
        """Bring what is new on S3.

        Raises:
            SMDebugRuntimeError: S3 refuses, or the copy cannot be written.
        """
        if self._mirror is not None:
            try:
                self._mirror.update()
            except StorageError as error:
                raise SMDebugRuntimeError(str(error)) from error


def checked_s3(path: str) -> str:
    """The path, if it is a place on S3.

    Raises:
        SMDebugValueError: it is none.
    """
    if not str(path).startswith("s3://"):
        raise SMDebugValueError(
            f"{path!r} is no place on S3: give s3://bucket/job/profiler-output, such as "
            "TrainingJob(name).profiler_s3_output_path"
        )
    return path
