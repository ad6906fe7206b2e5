"""What a person wants to know about jobs without opening their folders."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from clary.errors import ClaryError
from clary.formats.job_directory import JobDirectory
from clary.formats.job_record import JobRecord, JobStatus
from clary.formats.training_options import TrainingOptions
from clary.sdk.locations import find_jobs
from clary.sdk.training_job import is_running
from clary.settings import Settings

GONE = "its process is gone without a word: it was killed, or the machine went down"


@dataclass(frozen=True)
class JobSummary:
    """One job as it stands now.

    `model_name` is "unknown" when the options are not those of this version.
    `best_valid_accuracy` is a fraction of 1, None before the first epoch; `model` is the packed
    model, None when there is none.
    """

    name: str
    status: JobStatus
    data: str
    model_name: str
    created: str
    epochs: int
    best_valid_accuracy: float | None
    failure_reason: str | None
    directory: Path
    model: Path | None


def list_jobs(settings: Settings) -> list[JobSummary]:
    """All jobs of this home, the latest first."""
    return [_summary(directory, record) for directory, record in reversed(find_jobs(settings))]


def summarize_job(directory: JobDirectory) -> JobSummary:
    """One job as it stands now.

    Raises:
        FormatError: its record is missing or damaged.
    """
    return _summary(directory, JobRecord.read(directory))


def _summary(directory: JobDirectory, record: JobRecord) -> JobSummary:
    status, reason = record.status, record.failure_reason
    if status == "InProgress" and not is_running(directory):
        status, reason = "Failed", GONE
    accuracies = _valid_accuracies(directory)
    return JobSummary(
        name=record.name,
        status=status,
        data=record.data,
        model_name=_model_name(directory),
        created=record.created,
        epochs=len(accuracies),
        best_valid_accuracy=max(accuracies, default=None),
        failure_reason=reason,
        directory=directory.root,
        model=directory.archive if directory.archive.is_file() else None,
    )


def _model_name(directory: JobDirectory) -> str:
    try:
        return TrainingOptions.from_hyperparameters(directory.hyperparameters()).model
    except ClaryError:
        return "unknown"  # a job of another program, or of a later version, is listed too


def _valid_accuracies(directory: JobDirectory) -> list[float]:
    path = directory.output_data / "epochs.jsonl"
    if not path.is_file():
        return []
    by_epoch: dict[int, float] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            epoch = json.loads(line)
        except ValueError:
            break  # the line that is being written right now
        by_epoch[int(epoch["epoch"])] = float(epoch["valid_accuracy"])
    return list(by_epoch.values())
