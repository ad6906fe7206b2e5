"""A tuning job, wherever it runs: how it stands, what it has tried, what has come of it.

    job = TuningJob(session, "photos-251121-143209")
    job.wait()
    print(job.best_training_job().name, job.best_hyperparameters())

Nothing is kept but the name: every question is asked anew. Thread-safe.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from clary.errors import ServiceError, UsageError
from clary.sdk.description import is_missing
from clary.sdk.session import Session, spoken_faults
from clary.sdk.training_job import TrainingJob
from clary.sdk.tuning_description import TrialDescription, TuningDescription
from clary.tuner.importances import importances

POLL_SECONDS = 5.0  # as SageMaker's own SDK: AWS counts how often it is asked
LOCAL_POLL_SECONDS = 0.3
_PAGE = 100


@dataclass(frozen=True)
class TuningJob:
    """A tuning job by its name, in an account."""

    session: Session
    name: str

    @property
    def poll_seconds(self) -> float:
        """The usual pause between two questions: a short one where nobody counts them."""
        return POLL_SECONDS if self.session.settings is None else LOCAL_POLL_SECONDS

    def description(self) -> TuningDescription:
        """How the job stands.

        Raises:
            UsageError: there is no such tuning job.
            ServiceError: the service refuses or does not answer.
        """
        client = self.session.client("sagemaker")
        with spoken_faults():
            try:
                return TuningDescription(
                    client.describe_hyper_parameter_tuning_job(
                        HyperParameterTuningJobName=self.name
                    )
                )
            except ClientError as error:
                if not is_missing(error):
                    raise
                raise UsageError(
                    f"there is no tuning job {self.name}: `clary tune --attach` shows the latest"
                ) from error

    def trials(self) -> list[TrialDescription]:
        """Its training jobs, the first one first.

        Raises:
            ServiceError: there is no such tuning job, or the service does not answer.
        """
        client = self.session.client("sagemaker")
        operation = "list_training_jobs_for_hyper_parameter_tuning_job"
        with spoken_faults():
            pages = client.get_paginator(operation).paginate(
                HyperParameterTuningJobName=self.name,
                SortBy="CreationTime",
                SortOrder="Ascending",
                PaginationConfig={"PageSize": _PAGE},
            )
            found = [summary for page in pages for summary in page["TrainingJobSummaries"]]
        described = [TrialDescription(raw, place) for place, raw in enumerate(found, start=1)]
        return sorted(described, key=lambda trial: trial.number)

    def ended_trials(self, *, poll_seconds: float | None = None) -> Iterator[TrialDescription]:
        """Its trials as they end, until the tuning job has ended.

        Args:
            poll_seconds: the pause between two questions.

        Raises:
            UsageError: there is no such tuning job.
            ServiceError: the service refuses or does not answer.
        """
        shown: set[str] = set()
        while True:
            # Asked first: what ends between the two questions is still among the trials.
            over = self.description().ended
            for trial in self.trials():
                if trial.name not in shown and (trial.ended or over):
                    shown.add(trial.name)
                    yield trial
            if over:
                return
            time.sleep(self.poll_seconds if poll_seconds is None else poll_seconds)

    def wait(self, *, poll_seconds: float | None = None) -> TuningDescription:
        """Wait until the job has ended, however that may be.

        Args:
            poll_seconds: the pause between two questions.

        Raises:
            UsageError: there is no such tuning job.
            ServiceError: the service refuses or does not answer.
        """
        while not (found := self.description()).ended:
            time.sleep(self.poll_seconds if poll_seconds is None else poll_seconds)
        return found

    def stop(self) -> None:
        """Ask the job to end, and its trials with it: what is known is kept. A job that has ended
        is left alone.

        Raises:
            UsageError: there is no such tuning job.
            ServiceError: the service refuses or does not answer.
        """
        client = self.session.client("sagemaker")
        with spoken_faults():
            try:
                client.stop_hyper_parameter_tuning_job(HyperParameterTuningJobName=self.name)
            except ClientError:
                if not self.description().ended:
                    raise

    def delete(self) -> None:
        """Forget the tuning job; its training jobs stay.

        Raises:
            UsageError: there is no such tuning job.
            ServiceError: the job runs, or the service does not answer.
        """
        self.description()
        client = self.session.client("sagemaker")
        with spoken_faults():
            client.delete_hyper_parameter_tuning_job(HyperParameterTuningJobName=self.name)

    def best_training_job(self) -> TrainingJob:
        """The trial with the best objective; the best so far while the job runs.

        Raises:
            UsageError: there is no such tuning job.
            ServiceError: no trial has an objective, or the service does not answer.
        """
        best = self.description().raw.get("BestTrainingJob")
        if not best:
            raise ServiceError(
                f"no trial of {self.name} has an objective: wait for the first one to end"
            )
        return TrainingJob(self.session, best["TrainingJobName"])

    def best_hyperparameters(self) -> dict[str, str]:
        """All hyperparameters of the best trial, the fixed ones among them.

        Raises:
            UsageError: there is no such tuning job.
            ServiceError: no trial has an objective, or the service does not answer.
        """
        return self.best_training_job().description().hyperparameters

    def importances(self) -> dict[str, float]:
        """Each tuned hyperparameter's share in what made the trials differ, the largest first.

        The shares sum to 1; there are none before four trials have ended.

        Raises:
            UsageError: there is no such tuning job.
            ServiceError: the service refuses or does not answer.
        """
        found = self.description()
        trials = [trial.as_trial(found.space) for trial in self.trials()]
        known = [trial for trial in trials if trial is not None]
        return importances(found.space, found.direction, known)

    def analytics(self) -> list[dict[str, Any]]:
        """A row for each trial: its tuned hyperparameters (numbers where they are numbers), and
        the columns of SageMaker's own `analytics().dataframe()`; None where there is nothing.

        Raises:
            ServiceError: there is no such tuning job, or the service does not answer.
        """
        return [
            {
                **{name: _number_or_text(text) for name, text in trial.values.items()},
                "TrainingJobName": trial.name,
                "TrainingJobStatus": trial.status,
                "FinalObjectiveValue": trial.objective,
                "TrainingStartTime": trial.started,
                "TrainingEndTime": trial.ended_at,
                "TrainingElapsedTimeSeconds": trial.seconds,
            }
            for trial in self.trials()
        ]


def list_tuning_jobs(session: Session) -> Iterator[str]:
    """The names of an account's tuning jobs, the latest first.

    Raises:
        ServiceError: the service refuses or does not answer.
    """
    pages = session.client("sagemaker").get_paginator("list_hyper_parameter_tuning_jobs")
    with spoken_faults():
        for page in pages.paginate(SortBy="CreationTime", SortOrder="Descending"):
            for summary in page["HyperParameterTuningJobSummaries"]:
                yield str(summary["HyperParameterTuningJobName"])


def _number_or_text(text: str) -> float | str:
    try:
        return float(text.strip('"'))
    except ValueError:
        return text
