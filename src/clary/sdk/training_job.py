"""A training job, wherever it runs: how it stands, what it says, what it leaves.

    job = TrainingJob(session, "photos-20261121-092159")
    for line in job.lines(follow=True):
        print(line.message)
    print(job.wait().status, job.description().metrics)

Nothing is kept but the name: every question is asked anew. Thread-safe.
"""

from __future__ import annotations

import tarfile
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from clary.errors import ServiceError, UsageError
from clary.formats.files import storage_errors
from clary.formats.findings import Finding
from clary.formats.job_directory import JobDirectory
from clary.sdk.description import Description, is_missing
from clary.sdk.log_tail import LogLine, LogTail, last_of
from clary.sdk.rule_evaluations import (
    RuleEvaluation,
    evaluations_of,
    findings_of,
    profiler_report_of,
)
from clary.sdk.session import Session, spoken_faults
from clary.sdk.storage import split_uri

if TYPE_CHECKING:
    from clary.formats.tensor_curves import Curve

LOG_GROUP = "/aws/sagemaker/TrainingJobs"
TERMINAL = frozenset({"Completed", "Failed", "Stopped"})
POLL_SECONDS = 5.0
LOG_POLL_SECONDS = 0.3
DELETE_SECONDS = 60.0


@dataclass(frozen=True)
class JobDescription(Description):
    """What DescribeTrainingJob or Search said about a job; `raw` is all of it."""

    @property
    def name(self) -> str:
        """The job's name."""
        return str(self.raw["TrainingJobName"])

    @property
    def status(self) -> str:
        """`InProgress`, `Stopping`, `Completed`, `Failed` or `Stopped`."""
        return str(self.raw["TrainingJobStatus"])

    @property
    def ended(self) -> bool:
        """Whether the status is final."""
        return self.status in TERMINAL

    @property
    def secondary_status(self) -> str:
        """Where the job stands within its status, such as `Downloading`."""
        return str(self.raw.get("SecondaryStatus", ""))

    @property
    def message(self) -> str:
        """What the job waits for or does, in a sentence."""
        transitions = self.raw.get("SecondaryStatusTransitions") or ()
        return str(transitions[-1].get("StatusMessage", "")) if transitions else ""

    @property
    def hyperparameters(self) -> dict[str, str]:
        """As they were given."""
        return dict(self.raw.get("HyperParameters") or {})

    @property
    def metrics(self) -> dict[str, float]:
        """The last value of each metric."""
        final = self.raw.get("FinalMetricDataList") or ()
        return {metric["MetricName"]: float(metric["Value"]) for metric in final}

    @property
    def checkpoints(self) -> str | None:
        """Where the checkpoints are kept; None where they are not."""
        config = self.raw.get("CheckpointConfig") or {}
        return config.get("S3Uri")

    @property
    def model_artifacts(self) -> str | None:
        """Where `model.tar.gz` lies; None where there is none yet."""
        artifacts = self.raw.get("ModelArtifacts") or {}
        return artifacts.get("S3ModelArtifacts") or None

    @property
    def hosts(self) -> int:
        """How many hosts the job has."""
        resources = self.raw.get("ResourceConfig") or {}
        groups = resources.get("InstanceGroups") or ()
        return sum(group["InstanceCount"] for group in groups) or resources.get("InstanceCount", 1)


@dataclass(frozen=True)
class TrainingJob:
    """A job by its name, in an account."""

    session: Session
    name: str

    def description(self) -> JobDescription:
        """How the job stands.

        Raises:
            UsageError: there is no such job.
            ServiceError: the service refuses or does not answer.
        """
        with spoken_faults():
            try:
                client = self.session.client("sagemaker")
                return JobDescription(client.describe_training_job(TrainingJobName=self.name))
            except ClientError as error:
                if not is_missing(error):
                    raise
                raise UsageError(f"there is no job {self.name}: see `clary jobs`") from error

    def wait(self, *, poll_seconds: float = POLL_SECONDS) -> JobDescription:
        """Wait until the job has ended, however that may be.

        Args:
            poll_seconds: the pause between two questions.

        Raises:
            UsageError: there is no such job.
            ServiceError: the service refuses or does not answer.
        """
        while not (found := self.description()).ended:
            time.sleep(poll_seconds)
        return found

    def tail(self) -> LogTail:
        """What reads the log as it comes."""
        return LogTail(self.session, LOG_GROUP, f"{self.name}/", host_of=_host_of)

    def lines(self, *, follow: bool = False, last: int | None = None) -> Iterator[LogLine]:
        """What the job's hosts have said, each host's lines in their order.

        Args:
            follow: go on with what comes until the job has ended.
            last: begin with so many of the last lines; with all of them when None.

        Raises:
            UsageError: there is no such job, or the number is negative.
            ServiceError: the service refuses or does not answer.
        """
        tail = self.tail()
        over = not follow or self.description().ended
        said = tail.new_lines()
        yield from said if last is None else last_of(said, last)
        while not over:
            # What is said between the last look at the log and the end is read once more.
            over = self.description().ended
            if not over:
                time.sleep(LOG_POLL_SECONDS)
            yield from tail.new_lines()

    def stop(self) -> None:
        """Ask the job to end: what it has written is kept. A job that has ended is left alone.

        Raises:
            ServiceError: the service refuses or does not answer.
        """
        with spoken_faults():
            try:
                self.session.client("sagemaker").stop_training_job(TrainingJobName=self.name)
            except ClientError:
                if not self.description().ended:
                    raise

    def delete(self) -> None:
        """Forget the job and its directory; returns when both are gone. What it has stored in S3
        stays.

        Raises:
            UsageError: there is no such job.
            ServiceError: the job runs, or is not gone in time.
        """
        self.description()
        with spoken_faults():
            self.session.client("sagemaker").delete_training_job(TrainingJobName=self.name)
        deadline = time.monotonic() + DELETE_SECONDS
        with suppress(UsageError):
            while self.description().status == "Deleting":
                if time.monotonic() > deadline:
                    raise ServiceError(
                        f"the job {self.name} is still being deleted after {DELETE_SECONDS:.0f} "
                        "seconds: see `clary logs`"
                    )
                time.sleep(LOG_POLL_SECONDS)

    def metric_history(self, metric: str) -> list[tuple[datetime, float]]:
        """A metric by the minute: times and mean values, the earliest first.

        Raises:
            UsageError: there is no such job.
            ServiceError: the service refuses or does not answer.
        """
        found = self.description()
        end = found.raw.get("TrainingEndTime") or datetime.now(tz=found.created.tzinfo)
        with spoken_faults():
            answer = self.session.client("cloudwatch").get_metric_statistics(
                Namespace=LOG_GROUP,
                MetricName=metric,
                Dimensions=[{"Name": "TrainingJobName", "Value": self.name}],
                StartTime=found.created,
                EndTime=end,
                Period=60,
                Statistics=["Average"],
            )
        points = [(point["Timestamp"], float(point["Average"])) for point in answer["Datapoints"]]
        return sorted(points)

    def rules(self) -> tuple[RuleEvaluation, ...]:
        """How the rules stand that judge the job.

        Raises:
            UsageError: there is no such job.
            ServiceError: the service refuses or does not answer.
        """
        return evaluations_of(self.description().raw)

    def profiler_rules(self) -> tuple[RuleEvaluation, ...]:
        """How the rules stand that judge where the job's time goes; the details of ProfilerReport
        are the verdict, in three lines.

        Raises:
            UsageError: there is no such job.
            ServiceError: the service refuses or does not answer.
        """
        return evaluations_of(self.description().raw, "profiler")

    def findings(self) -> tuple[Finding, ...]:
        """What the job's rules have found so far, rule by rule.

        Raises:
            UsageError: there is no such job.
            ServiceError: the service refuses or does not answer.
        """
        return findings_of(self.session, self.description().raw)

    def losses(self) -> tuple[Curve, ...]:
        """The losses that the debugger's hook has saved so far, a curve for each loss and mode.

        Raises:
            UsageError: there is no such job, or no loss of it has been saved.
            ServiceError: the service refuses or does not answer.
            StorageError: S3 refuses, or the copy cannot be written.
            FormatError: a file is damaged, or of a later version.
        """
        # With NumPy, which no other question needs.
        from clary.formats.tensor_curves import loss_names, scalar_curves
        from clary.sdk.saved_tensors import tensors_of

        saved = tensors_of(self.session, self.description().raw)
        curves: tuple[Curve, ...] = ()
        if saved is not None:
            with saved:
                log = saved.log()
                if log is not None:
                    curves = tuple(
                        curve for name in loss_names(log) for curve in scalar_curves(log, name)
                    )
        if not curves:
            raise UsageError(
                f"no losses of the job {self.name} have been saved: give its estimator "
                'debug=Debugging({"losses": {"save_interval": 1}}), and a script of your own a hook'
            )
        return curves

    def profiler_report(self) -> str:
        """The page about where the job's time went: HTML in one piece, which needs no network.

        Raises:
            UsageError: there is no such job, or no report on it.
            ServiceError: the service refuses or does not answer.
        """
        page = profiler_report_of(self.session, self.description().raw)
        if page is None:
            raise UsageError(
                f"the job {self.name} has no report of the profiler: give it the rule "
                "ProfilerReport, and wait for its end"
            )
        return page

    def download(self, folder: Path) -> None:
        """Fetch what the job has left, laid out as in its own directory.

        Args:
            folder: gets `output/model.tar.gz`, its content in `model/`, and what the job left
                beside the model in `output/data/`.

        Raises:
            UsageError: the job has no model.
            StorageError: the folder cannot be written.
            ServiceError: the service refuses or does not answer.
        """
        uri = self.description().model_artifacts
        if uri is None:
            raise UsageError(f"the job {self.name} has no model: wait for its end")
        directory = JobDirectory(folder)
        with storage_errors(folder):
            directory.archive.parent.mkdir(parents=True, exist_ok=True)
        bucket, key = split_uri(uri)
        client = self.session.client("s3")
        with spoken_faults():
            client.download_file(bucket, key, str(directory.archive))
        _unpack(directory.archive, directory.model)
        beside = key.rpartition("/")[0] + "/output.tar.gz"
        with TemporaryDirectory() as scratch:
            archive = Path(scratch) / "output.tar.gz"
            try:
                client.download_file(bucket, beside, str(archive))
            except ClientError as error:
                if error.response["Error"]["Code"] != "404":
                    with spoken_faults():
                        raise
            else:
                _unpack(archive, directory.output_data)


def _host_of(stream: str) -> str:
    """`algo-1` of the stream NAME/algo-1-TIME."""
    return stream.partition("/")[2].rpartition("-")[0]


def _unpack(archive: Path, folder: Path) -> None:
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with tarfile.open(archive) as packed:
            packed.extractall(folder, filter="data")
