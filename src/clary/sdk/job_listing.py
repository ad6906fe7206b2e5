"""The training jobs of an account, the latest first."""

from __future__ import annotations

from collections.abc import Iterator

from clary.errors import ClaryError, UsageError
from clary.formats.builtin_algorithm import IMAGE, TrainingRequest
from clary.formats.job_directory import is_trial
from clary.sdk.locations import LATEST
from clary.sdk.session import Session, spoken_faults
from clary.sdk.training_job import JobDescription
from clary.settings import Settings

_PAGE = 100


def list_jobs(
    session: Session, *, status: str | None = None, name_contains: str | None = None
) -> Iterator[JobDescription]:
    """All jobs, or those of a status and with a text in their names, page by page.

    Raises:
        ServiceError: the service refuses or does not answer.
    """
    wanted = (
        ("TrainingJobStatus", "Equals", status),
        ("TrainingJobName", "Contains", name_contains),
    )
    conditions = [
        {"Name": name, "Operator": operator, "Value": value}
        for name, operator, value in wanted
        if value is not None
    ]
    filters = {"SearchExpression": {"Filters": conditions}} if conditions else {}
    token: dict[str, str] = {}
    while True:
        with spoken_faults():
            answer = session.client("sagemaker").search(
                Resource="TrainingJob",
                SortBy="CreationTime",
                SortOrder="Descending",
                MaxResults=_PAGE,
                **filters,
                **token,
            )
        for result in answer["Results"]:
            yield JobDescription(result["TrainingJob"])
        if not answer.get("NextToken"):
            return
        token = {"NextToken": answer["NextToken"]}


def named_or_latest(session: Session, text: str) -> str:
    """A job's name; `latest` stands for the last one, a trial only where there is nothing else.

    Raises:
        UsageError: there is no job at all.
        ServiceError: the service refuses or does not answer.
    """
    if text != LATEST:
        return text
    trial = None
    for found in list_jobs(session):
        if not is_trial(found.name, found.hyperparameters):
            return found.name
        trial = trial or found.name
    if trial is None:
        raise UsageError("there is no job yet: run `clary train` first")
    return trial


def has_had_jobs(settings: Settings) -> bool:
    """Whether a service has ever kept anything in this home; asks the disk only."""
    return settings.state_file.exists()


def model_name(job: JobDescription) -> str:
    """The network that a job of the built-in algorithm trains; the script of another one."""
    specification = job.raw.get("AlgorithmSpecification") or {}
    if IMAGE in str(specification.get("TrainingImage", "")):
        try:
            return TrainingRequest.from_hyperparameters(job.hyperparameters).options.model
        except ClaryError:
            return "unknown"  # of a later version, or with options that will fail it
    return job.hyperparameters.get("sagemaker_program", "").strip('"') or "unknown"
