"""What a person types for a job, a model or a data set, and the path that is meant.

A job is given by its name, its folder, or `latest`. A model is given by a job, a `model.tar.gz`,
a model folder. Data is given by a path or a known name. Only the disk is asked, not the service.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from clary.errors import DataError, FormatError, UsageError
from clary.formats.job_directory import JobDirectory
from clary.formats.known_datasets import KNOWN_DATASETS
from clary.formats.model_archive import locate_model
from clary.settings import Settings

LATEST = "latest"


def find_jobs(settings: Settings) -> list[JobDirectory]:
    """The directories of this home's jobs, the one that started first in front."""
    found = []
    if settings.jobs_dir.is_dir():
        for folder in settings.jobs_dir.iterdir():
            directory = JobDirectory(folder)
            try:
                found.append((directory.hyperparameters_file.stat().st_mtime_ns, directory))
            except OSError:
                continue  # its inputs are not there yet, or not any more
    return [directory for _, directory in sorted(found, key=lambda job: (job[0], job[1].root))]


def resolve_job(text: str, settings: Settings, *, instead: str = "") -> JobDirectory:
    """The directory of a job.

    Args:
        text: a job's name, its folder, or `latest`.
        settings: whose home is searched.
        instead: what may be given in place of a job, for the sentence about one that is not there.

    Raises:
        UsageError: there is no such job; the nearest name is given.
    """
    job = _job(text, settings)
    if job is None:
        raise UsageError(no_such_job(text, settings, instead=instead))
    return job


def no_such_job(text: str, settings: Settings, *, instead: str = "") -> str:
    """The sentence about a job that is not there; the nearest name is given.

    Args:
        text: what a person has typed.
        settings: whose home was searched.
        instead: what may be given in place of a job, such as `the folder of a model`.
    """
    names = [directory.root.name for directory in find_jobs(settings)]
    other = f", or give {instead}" if instead else ""
    if not names or text == LATEST:
        which = "" if text == LATEST else f" {text}, nor any other,"
        return f"there is no job{which} in {settings.jobs_dir} yet: run `clary train` first{other}"
    return f"there is no job {text}: {nearest(text, names, f'see `clary jobs`{other}')}"


def resolve_model(text: str, settings: Settings, *, endpoints: Sequence[str] | None = None) -> Path:
    """The archive or folder of a model.

    Args:
        text: a job's name or folder, `latest`, a `model.tar.gz`, or a model folder.
        settings: whose home is searched for job names.
        endpoints: their names, where an endpoint may be meant as well, for the sentence about what
            is not there.

    Raises:
        UsageError: there is nothing of that name, or the job has no model; `latest` would be a
            trial, which hardly is the best one.
    """
    path = Path(text).expanduser()
    job = _job(text, settings)
    if job is not None:
        if text == LATEST and job.is_trial():
            raise UsageError(
                "there is no training here but the trials of a search: name one (`clary jobs` "
                "lists them), or run the command at the end of the search, which trains with the "
                "best values"
            )
        return _model_of(job, settings)
    if path.exists():
        return absolute_path(path)
    if text == LATEST:
        raise UsageError(no_such_job(text, settings))
    names = [directory.root.name for directory in find_jobs(settings)]
    if endpoints is None:
        hint = nearest(text, names, "give a job's name, a model.tar.gz or a model folder")
        raise UsageError(f"there is no model and no job {text}: {hint}")
    hint = nearest(text, [*endpoints, *names], "see `clary jobs` and `clary endpoints`")
    raise UsageError(f"there is no model, no job and no endpoint {text}: {hint}")


def resolve_data(text: str) -> str:
    """An absolute path, or a known name as it is.

    Raises:
        DataError: there is no such path and no data set of that name.
    """
    known = ", ".join(KNOWN_DATASETS)
    if not text:
        raise DataError(f"the name of the data is empty: give a folder of pictures, or {known}")
    path = Path(text).expanduser()
    if path.exists():
        return str(absolute_path(path))
    if text in KNOWN_DATASETS:
        return text
    # By the name alone: all that lie in the same folder share the rest of the path.
    beside = {entry.name: path.parent / entry.name for entry in _entries(path.parent)}
    candidates = {**{name: name for name in KNOWN_DATASETS}, **beside}
    near = difflib.get_close_matches(path.name, list(candidates), n=1, cutoff=0.65)
    hint = (
        f"did you mean {candidates[near[0]]}?"
        if near
        else f"give a folder of pictures, or one of {known}"
    )
    raise DataError(f"there is no folder or file {text}: {hint}")


def absolute_path(path: Path) -> Path:
    """The path from the root, without `..` where that means the same; links stay links."""
    plain = Path(os.path.abspath(path))  # noqa: PTH100 - Path.resolve would follow links
    try:
        return plain if plain.samefile(path) else path.absolute()
    except OSError:
        return path.absolute()


def _job(text: str, settings: Settings) -> JobDirectory | None:
    path = Path(text).expanduser()
    if text == LATEST and not path.exists():
        return latest_of(find_jobs(settings))
    for root in (path, settings.jobs_dir / text):
        directory = JobDirectory(root.absolute())
        if directory.hyperparameters_file.is_file():
            return directory
    return None


def latest_of(jobs: Sequence[JobDirectory]) -> JobDirectory | None:
    """The last one of some jobs; a trial only where there is nothing but trials.

    Whoever has searched and then trained means the training, whatever started meanwhile.
    """
    for job in reversed(jobs):
        try:
            if not job.is_trial():
                return job
        except FormatError:
            return job  # what is damaged is told of where it is read
    return jobs[-1] if jobs else None


def _model_of(job: JobDirectory, settings: Settings) -> Path:
    try:
        return locate_model(str(job.root), settings.jobs_dir)
    except FormatError as error:
        name = job.root.name
        reason = _failure_text(job)
        if reason is not None:
            raise UsageError(f"the job {name} has no model, for it failed: {reason}") from error
        raise UsageError(
            f"the job {name} has no model: wait for its end, or go on with it by "
            f"`clary train --resume {name}`"
        ) from error


def _failure_text(job: JobDirectory) -> str | None:
    try:
        return job.failure.read_text(encoding="utf-8").strip() or None
    except OSError:
        return None


def nearest(text: str, names: Iterable[str], otherwise: str) -> str:
    """A hint: which of some names was probably meant, or what to do otherwise."""
    near = difflib.get_close_matches(text, list(names), n=1, cutoff=0.5)
    return f"did you mean {near[0]}?" if near else otherwise


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    except OSError:
        return []


def endpoint_names(settings: Settings) -> list[str]:
    """The endpoints that have left a folder in this home; asks the disk only."""
    try:
        return sorted(path.name for path in settings.endpoints_dir.iterdir() if path.is_dir())
    except OSError:
        return []
