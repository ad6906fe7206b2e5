"""Where the hosts of a job lie on this machine's disk, and where their processes see them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from clary.errors import ClaryError
from clary.formats.job_directory import JobDirectory
from clary.formats.launch import BASE, HostFiles, Isolation, host_log, host_root
from clary.service.executors.executor import TrainingJobSpec


@dataclass(frozen=True)
class HostPlace:
    """One host. `root` is its folder on the disk, `base` what its processes call that folder."""

    name: str
    number: int
    names: tuple[str, ...]
    root: Path
    log: Path
    isolation: Isolation

    @property
    def base(self) -> Path:
        """`/opt/ml`, or the folder itself where nothing can be mounted."""
        return self.root if self.isolation == "none" else Path(BASE)

    @property
    def directory(self) -> JobDirectory:
        """The tree under `root`."""
        return JobDirectory(self.root)

    @property
    def seen(self) -> JobDirectory:
        """The tree as the host's processes see it."""
        return JobDirectory(self.base)

    @property
    def files(self) -> HostFiles:
        """What is exchanged with the host process."""
        return HostFiles(self.root)


def host_places(job: TrainingJobSpec, isolation: Isolation) -> tuple[HostPlace, ...]:
    """All hosts of a job, the first one first."""
    names = job.host_names
    return tuple(
        HostPlace(
            name,
            number,
            names,
            host_root(job.directory.root, name),
            host_log(job.directory.root, name),
            isolation,
        )
        for number, name in enumerate(names)
    )


def split_uri(uri: str) -> tuple[str, str]:
    """Bucket and key of an S3 URI.

    Raises:
        ClaryError: it is none.
    """
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    if not uri.startswith("s3://") or not bucket:
        raise ClaryError(f"{uri!r} is no S3 URI: give s3://bucket/key")
    return bucket, key
