"""What a person types for a job, a model or a data set, and the path that is meant.

A job is given by its name, its folder, or `latest`. A model is given by a job, a `model.tar.gz`,
a model folder. Data is given by a path or a known name.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path

from clary.errors import DataError, FormatError, UsageError
from clary.formats.job_directory import JobDirectory
from clary.formats.job_record import JobRecord
from clary.formats.known_datasets import KNOWN_DATASETS
from clary.formats.model_archive import locate_model
from clary.settings import Settings

LATEST = "latest"


def find_jobs(settings: Settings) -> list[tuple[JobDirectory, JobRecord]]:
    """All jobs of this home, the oldest first; folders without a readable record are left out."""
    found = []
    if settings.jobs_dir.is_dir():
        for folder in settings.jobs_dir.iterdir():
            directory = JobDirectory(folder)
            try:
                found.append((directory, JobRecord.read(directory)))
            except FormatError:
                continue
    return sorted(found, key=lambda job: (job[1].created, job[1].name))


def resolve_job(text: str, settings: Settings) -> JobDirectory:
    """The directory of a job.

    Args:
        text: a job's name, its folder, or `latest`.
        settings: whose home is searched.

    Raises:
        UsageError: there is no such job; the nearest name is given.
    """
    job = _job(text, settings)
    if job is None:
        names = [record.name for _, record in find_jobs(settings)]
        if text == LATEST or not names:
            raise UsageError(f"there is no job in {settings.jobs_dir} yet: run `clary train` first")
        raise UsageError(f"there is no job {text}: {_nearest(text, names, 'see `clary jobs`')}")
    return job


def latest_job_on(data: str, settings: Settings) -> JobDirectory:
    """The directory of the latest job on some data.

    Raises:
        DataError: there is no such data.
        UsageError: no job was trained on it.
    """
    location = resolve_data(data)
    for directory, record in reversed(find_jobs(settings)):
        if record.data == location:
            return directory
    raise UsageError(f"there is no job on {data} to resume: leave --resume out to start one")


def resolve_model(text: str, settings: Settings) -> Path:
    """The archive or folder of a model.

    Args:
        text: a job's name or folder, `latest`, a `model.tar.gz`, or a model folder.
        settings: whose home is searched for job names.

    Raises:
        UsageError: there is nothing of that name, or the job has no model.
    """
    path = Path(text).expanduser()
    job = _job(text, settings)
    if job is not None:
        return _model_of(job, settings)
    if path.exists():
        return path.absolute()
    if text == LATEST:
        raise UsageError(f"there is no job in {settings.jobs_dir} yet: run `clary train` first")
    names = [record.name for _, record in find_jobs(settings)]
    hint = _nearest(text, names, "give a job's name, a model.tar.gz or a model folder")
    raise UsageError(f"there is no model and no job {text}: {hint}")


def resolve_data(text: str) -> str:
    """An absolute path, or a known name as it is.

    Raises:
        DataError: there is no such path and no data set of that name.
    """
    path = Path(text).expanduser()
    if path.exists():
        return str(path.absolute())
    if text in KNOWN_DATASETS:
        return text
    beside = [str(path.parent / entry.name) for entry in _entries(path.parent)]
    known = ", ".join(KNOWN_DATASETS)
    near = difflib.get_close_matches(str(path), [*beside, *KNOWN_DATASETS], n=1, cutoff=0.6)
    hint = f"did you mean {near[0]}?" if near else f"give a folder of pictures, or one of {known}"
    raise DataError(f"there is no folder or file {text}: {hint}")


def _job(text: str, settings: Settings) -> JobDirectory | None:
    path = Path(text).expanduser()
    if text == LATEST and not path.exists():
        jobs = find_jobs(settings)
        return jobs[-1][0] if jobs else None
    for root in (path, settings.jobs_dir / text):
        directory = JobDirectory(root.absolute())
        if directory.job_file.is_file():
            return directory
    return None


def _model_of(job: JobDirectory, settings: Settings) -> Path:
    try:
        return locate_model(str(job.root), settings.jobs_dir)
    except FormatError as error:
        record = JobRecord.read(job)
        reason = f" ({record.failure_reason})" if record.failure_reason else ""
        raise UsageError(
            f"the job {record.name} has no model, its status is {record.status}{reason}: "
            f"`clary train --resume {record.name}` goes on with it"
        ) from error


def _nearest(text: str, names: Iterable[str], otherwise: str) -> str:
    near = difflib.get_close_matches(text, list(names), n=1, cutoff=0.5)
    return f"did you mean {near[0]}?" if near else otherwise


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    except OSError:
        return []
