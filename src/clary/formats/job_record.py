"""Who started a job, on what, and how it stands: `job.json` of a job directory.

The starter alone writes it. Format version 1; see `docs/formats/job_directory.md`.
"""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from clary.errors import FormatError
from clary.formats.files import read_json, write_text
from clary.formats.job_directory import JobDirectory

VERSION = 1
JobStatus = Literal["InProgress", "Completed", "Failed", "Stopped"]


class JobRecord(BaseModel):
    """One job. Times are UTC in ISO 8601; the statuses are SageMaker's.

    `data` is a path or a known name. `exit_code`, `ended` and `failure_reason` are None until the
    program has ended, `failure_reason` also when nothing failed.
    """

    model_config = ConfigDict(frozen=True)

    version: int = VERSION
    name: str
    data: str
    status: JobStatus
    created: str
    started: str
    ended: str | None = None
    pid: int | None = None
    exit_code: int | None = None
    failure_reason: str | None = None
    command: tuple[str, ...] = ()

    def changed(self, **changes: object) -> JobRecord:
        """A record that differs in the fields given."""
        return JobRecord.model_validate({**self.model_dump(), **changes})

    def write(self, directory: JobDirectory) -> None:
        """Replace `job.json`.

        Raises:
            StorageError: the folder cannot be written.
        """
        write_text(directory.job_file, self.model_dump_json(indent=2) + "\n")

    @classmethod
    def read(cls, directory: JobDirectory) -> JobRecord:
        """Read `job.json`.

        Raises:
            FormatError: it is missing, damaged, or of a later version.
        """
        content = read_json(directory.job_file)
        version = content.get("version") if isinstance(content, dict) else None
        if not isinstance(version, int) or version > VERSION:
            raise FormatError(
                f"{directory.job_file} has version {version!r} but this Clary reads up to "
                f"{VERSION}: install a newer Clary"
            )
        try:
            return cls.model_validate(content)
        except ValidationError as error:
            raise FormatError(f"{directory.job_file} is not a job's record: {error}") from error


def utc_now() -> str:
    """The time as records bear it, to the second."""
    return datetime.now(tz=timezone.utc).isoformat(timespec="seconds")
