"""Where the profile of a job lies: what a person names, and the folders of the job's hosts.

A job of this machine is read where it ran. What lies in S3 is copied, and parted by hosts, which
share a folder there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from clary.errors import DataError, FormatError, UsageError
from clary.formats.job_directory import JobDirectory
from clary.formats.launch import FIRST_HOST
from clary.formats.rule_request import RuleRequest, ended_marker
from clary.formats.tensor_log import Mirror
from clary.sdk.locations import LATEST, resolve_job
from clary.sdk.rule_evaluations import PROFILER_RULES_FOLDER
from clary.sdk.session import Session
from clary.sdk.storage import split_uri
from clary.sdk.training_job import TrainingJob
from clary.settings import Settings

PROFILER = Path("output") / "profiler"
PAGE_FILE = "profile.html"
_STORED = "profiler-output"
_PARTS = ("system", "timeline")
_WANTED = {*_PARTS, "framework"}
_FOLDER = "the folder that `clary exec --profile` named"
_NODE = re.compile(r"(algo-\d+)")


@dataclass(frozen=True)
class ProfilePlace:
    """A job's profile.

    `folders` are those of its hosts, `algo-1` first. When it began and ended is in seconds since
    1970; None where nobody has said it. `page` is where the page on it goes unless a person says
    otherwise; None leaves it to the folder.
    """

    name: str
    folders: tuple[Path, ...]
    started_s: float | None = None
    ended_s: float | None = None
    page: Path | None = None


def find_profile(text: str, settings: Settings) -> ProfilePlace:
    """The profile of a job of this machine, or of a command.

    Args:
        text: a job's name, its folder, `latest`, or a folder that a profiler has written to.
        settings: whose home is searched for job names.

    Raises:
        DataError: there is no such folder, or nothing was recorded in it.
        UsageError: there is no such job, or it was not profiled.
    """
    folder = Path(text).expanduser()
    if folder.is_dir() and text != LATEST:
        if any((folder / part).is_dir() for part in _PARTS):
            return ProfilePlace(folder.resolve().name, (folder,))
        if not JobDirectory(folder).config.is_dir():
            raise DataError(
                f"{text} holds nothing that a profiler recorded: give a job's name, or {_FOLDER}"
            )
        return _of_directory(folder.absolute())
    if folder.is_file():
        raise DataError(f"{text} is a file: give a job's name, or {_FOLDER}")
    if "/" in text:
        raise DataError(f"there is no folder {text}: give a job's name, or {_FOLDER}")
    return _of_directory(resolve_job(text, settings, instead=_FOLDER).root)


def fetch_profile(session: Session, uri: str, scratch: Path) -> ProfilePlace:
    """The profile that lies in S3.

    Args:
        session: with the account that has it.
        uri: of a job's `profiler-output`, or of the folder that holds it.
        scratch: gets the copy.

    Raises:
        UsageError: the URI is none of S3's.
        DataError: nothing was recorded there.
        StorageError: S3 refuses, or the folder cannot be written.
    """
    split_uri(uri)
    plain = uri.rstrip("/")
    base = plain.removesuffix(f"/{_STORED}")
    # A person may give either; what holds no profile costs one question.
    for place in dict.fromkeys((plain, f"{base}/{_STORED}")):
        Mirror(session.client("s3"), place, scratch, _WANTED).update()
        if any((scratch / part).is_dir() for part in _PARTS):
            name = base.rpartition("/")[2]
            return ProfilePlace(name, _parted(scratch), page=Path(f"{name}-{PAGE_FILE}"))
    raise DataError(f"{uri} holds nothing that a profiler recorded: give a job's {_STORED}")


def fetch_job_profile(session: Session, name: str, scratch: Path) -> ProfilePlace:
    """The profile of a job that ran elsewhere.

    Args:
        session: with the service that has the job.
        name: the job's.
        scratch: gets the copy.

    Raises:
        UsageError: there is no such job, or it was not profiled.
        DataError: nothing was recorded yet.
        ServiceError: the service refuses or does not answer.
        StorageError: S3 refuses, or the folder cannot be written.
    """
    job = TrainingJob(session, name).description().raw
    place = (job.get("ProfilerConfig") or {}).get("S3OutputPath")
    if place is None:
        raise UsageError(_unprofiled(name))
    found = fetch_profile(session, f"{place.rstrip('/')}/{name}/{_STORED}", scratch)
    return ProfilePlace(
        name,
        found.folders,
        _seconds(job, "TrainingStartTime"),
        _seconds(job, "TrainingEndTime"),
        found.page,
    )


def _of_directory(root: Path) -> ProfilePlace:
    others = sorted((root / "hosts").glob("algo-*"), key=lambda path: _number(path.name))
    folders = tuple(path for host in (root, *others) if (path := host / PROFILER).is_dir())
    if not folders:
        raise UsageError(_unprofiled(root.name))
    rules = root / PROFILER_RULES_FOLDER
    try:
        started_s = RuleRequest.read(rules).started_s
    except FormatError:
        started_s = None  # it has no rules: what was recorded says when it began
    ended = ended_marker(rules)
    ended_s = ended.stat().st_mtime if ended.exists() else None
    return ProfilePlace(root.name, folders, started_s, ended_s, root / PAGE_FILE)


def _parted(folder: Path) -> tuple[Path, ...]:
    """A folder for each host of what the hosts have put into one."""
    files = [path for part in _PARTS for path in (folder / part).rglob("*") if path.is_file()]
    inside = {path: path.relative_to(folder) for path in files}
    nodes = {path: _NODE.search(str(name)) for path, name in inside.items()}
    names = {FIRST_HOST if node is None else node[1] for node in nodes.values()}
    if len(names) < 2:
        return (folder,)
    for path, node in nodes.items():
        name = FIRST_HOST if node is None else node[1]
        parts = [part.removeprefix(f"{name}-") for part in inside[path].parts]
        target = folder.joinpath("hosts", name, *parts)
        target.parent.mkdir(parents=True, exist_ok=True)
        path.replace(target)
    return tuple(folder / "hosts" / name for name in sorted(names, key=_number))


def _number(node: str) -> int:
    return int(node.rpartition("-")[2])


def _seconds(job: Mapping[str, Any], member: str) -> float | None:
    moment: datetime | None = job.get(member)
    return None if moment is None else moment.timestamp()


def _unprofiled(name: str) -> str:
    return (
        f"{name} was not profiled: `clary train` does it unless --profile is off, "
        "and the trials of `clary tune` never are"
    )
