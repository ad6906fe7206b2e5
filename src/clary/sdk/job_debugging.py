"""What was seen of a training, wherever it lies: for `clary debug`, the terminal and notebooks.

    watched = watch_job(session, "photos-20261121-092159")
    moment = watched.moment()
    print(moment.rules, moment.findings, moment.log.names())

A job of this machine is read from its directory, one of AWS from S3, a folder as it is. Each call
of `moment` reads only what is new.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from clary.errors import DataError
from clary.formats.findings import Finding, RuleStatus
from clary.formats.job_directory import JobDirectory
from clary.formats.tensor_log import TensorLog
from clary.sdk.rule_evaluations import (
    RULES_FOLDER,
    RuleEvaluation,
    evaluations_of,
    findings_in,
    findings_of,
)
from clary.sdk.saved_tensors import TENSORS, SavedTensors, tensors_of
from clary.sdk.session import Session
from clary.sdk.training_job import TrainingJob


@dataclass(frozen=True)
class DebugMoment:
    """How the watching of a training stands.

    `status` is the job's, None for a folder; `log` is None where nothing has been saved yet;
    `watched` says whether anything ever shall be.
    """

    name: str
    status: str | None
    ended: bool
    watched: bool
    rules: tuple[RuleEvaluation, ...]
    findings: tuple[Finding, ...]
    log: TensorLog | None
    place: str | None = None
    """Where the tensors are: a folder or an S3 URI."""
    empty: bool = False
    """Whether it is a place that holds neither a job nor anything that a hook has written."""


class Watched(Protocol):
    """A training that can be looked at again and again, on one thread. Leaving it removes what
    was copied from S3.
    """

    def __enter__(self) -> Watched:
        """Itself."""

    def __exit__(self, *_: object) -> None:
        """Remove what was copied."""

    def moment(self) -> DebugMoment:
        """How it stands now.

        Raises:
            ServiceError: the service refuses or does not answer.
            StorageError: S3 refuses, or the copy cannot be written.
            ProgramFailed: what the original smdebug wrote cannot be read.
            FormatError: a file is damaged, or of a later version.
        """


class WatchedFolder:
    """A job directory, or a folder of tensors alone; no service is asked."""

    def __enter__(self) -> WatchedFolder:
        return self

    def __exit__(self, *_: object) -> None:
        self._tensors.close()

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._tensors = SavedTensors(folder / TENSORS if (folder / TENSORS).is_dir() else folder)

    def moment(self) -> DebugMoment:
        """How it stands now; see `Watched`."""
        rules = self._folder / RULES_FOLDER
        is_job = rules.is_dir() or JobDirectory(self._folder).hyperparameters_file.is_file()
        log = self._tensors.log()
        found = tuple(_read_statuses(rules)) if rules.is_dir() else ()
        return DebugMoment(
            name=self._folder.name,
            status=None,
            ended=(log is not None and log.ended) and all(rule.ended for rule in found),
            watched=True,
            rules=found,
            findings=tuple(findings_in(rules)) if rules.is_dir() else (),
            log=log,
            place=self._tensors.place,
            empty=not is_job and _is_empty(log),
        )


class WatchedJob:
    """A job of this machine or of AWS."""

    def __init__(self, job: TrainingJob) -> None:
        self._job = job
        self._tensors: SavedTensors | None = None

    def __enter__(self) -> WatchedJob:
        return self

    def __exit__(self, *_: object) -> None:
        if self._tensors is not None:
            self._tensors.close()

    def moment(self) -> DebugMoment:
        """How it stands now; see `Watched`."""
        found = self._job.description()
        if self._tensors is None:
            self._tensors = tensors_of(self._job.session, found.raw)
        return DebugMoment(
            name=found.name,
            status=found.status,
            ended=found.ended,
            watched=self._tensors is not None,
            rules=evaluations_of(found.raw),
            findings=findings_of(self._job.session, found.raw),
            log=None if self._tensors is None else self._tensors.log(),
            place=None if self._tensors is None else self._tensors.place,
        )


class WatchedPrefix:
    """What lies below an S3 URI: tensors alone."""

    def __init__(self, session: Session, uri: str) -> None:
        self._uri = uri.rstrip("/")
        self._tensors = SavedTensors.in_s3(session, self._uri)

    def __enter__(self) -> WatchedPrefix:
        return self

    def __exit__(self, *_: object) -> None:
        self._tensors.close()

    def moment(self) -> DebugMoment:
        """How it stands now; see `Watched`."""
        log = self._tensors.log()
        ended = log is not None and log.ended
        return DebugMoment(
            self._uri, None, ended, True, (), (), log, self._uri, empty=_is_empty(log)
        )


def watch_job(session: Session, name: str) -> WatchedJob:
    """What was and is seen of a job.

    Args:
        session: with the service that has the job, Clary's or AWS's.
        name: the job's.
    """
    return WatchedJob(TrainingJob(session, name))


def watch_folder(folder: Path) -> WatchedFolder:
    """What was and is seen of a training that left its tensors in a folder.

    Args:
        folder: a job directory, or the folder that a hook wrote to.

    Raises:
        DataError: there is no such folder.
    """
    if not folder.is_dir():
        raise DataError(f"there is no folder {folder}: give a job's name, or a folder of tensors")
    return WatchedFolder(folder.absolute())


def _is_empty(log: TensorLog | None) -> bool:
    # A hook says who it is at its beginning, before anything is due.
    return log is None or not (log.workers or log.steps() or log.failures or log.ended)


def _read_statuses(folder: Path) -> Iterable[RuleEvaluation]:
    for rule in sorted(path for path in folder.iterdir() if path.is_dir()):
        status = RuleStatus.read(rule)
        if status is not None:
            yield RuleEvaluation(status.configuration, status.status, status.details)
