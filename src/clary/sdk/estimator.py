"""A training as a description that can be started many times, in SageMaker's words.

    Estimator(session, entry_point="train.py", hyperparameters={"lr": 0.01}).fit("photos/")

The same against Clary and AWS.
"""

from __future__ import annotations

import io
import json
import re
import sys
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from clary.errors import DataError, ServiceError, UsageError
from clary.formats.builtin_algorithm import IMAGE, METRICS
from clary.sdk.debugging import Debugging
from clary.sdk.linking import link
from clary.sdk.profiling import Level, Profiling
from clary.sdk.session import Session, spoken_faults
from clary.sdk.training_job import TrainingJob

DAY_SECONDS = 86_400
NAME_LIMIT = 63  # SageMaker's for TrainingJobName


@dataclass(frozen=True)
class Estimator:
    """What to train with. Without `entry_point`, the image decides.

    `entry_point` is a script of `source_dir`, or a path of its own. `hyperparameters` may hold any
    JSON value. `metrics` are regular expressions by name, with one group each. `debug` says what
    is saved of the training and which rules judge it, `profile` what is recorded of where its time
    goes: a level of `clary.sdk.profiling`, or more exactly what.
    """

    session: Session
    image: str = IMAGE
    entry_point: str | None = None
    source_dir: Path | None = None
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    instance_type: str = "ml.m5.xlarge"
    instance_count: int = 1
    volume_gb: int = 30
    max_run_seconds: int = DAY_SECONDS
    output_path: str | None = None
    checkpoint_uri: str | None = None
    input_mode: str = "File"
    debug: Debugging | None = None
    profile: Profiling | Level | None = None

    def fit(
        self,
        inputs: str | Path | Mapping[str, str | Path] | None = None,
        *,
        name: str | None = None,
        wait: bool = True,
        logs: bool = True,
    ) -> TrainingJob:
        """Start a job.

        Args:
            inputs: S3 URIs or folders of this machine, by channel; a single one is `training`.
            name: at most 63 letters, digits and inner hyphens; made of the image and the time.
            wait: return when the job has ended.
            logs: print what it says meanwhile.

        Returns:
            The job.

        Raises:
            UsageError: a script is missing, or a folder is given to AWS.
            DataError: there is no such folder.
            ServiceError: the service refuses the job, or it did not end well.
        """
        chosen = name or made_up_name(self.entry_point or self.image)
        job = start_job(self.session, self.request(inputs, chosen))
        if wait:
            if logs:
                for line in job.lines(follow=True):
                    print(line.message, file=sys.stdout, flush=True)
            found = job.wait()
            if found.status != "Completed":
                raise ServiceError(
                    f"the job {job.name} ended as {found.status}: "
                    f"{found.failure_reason or found.secondary_status}"
                )
        return job

    def request(
        self, inputs: str | Path | Mapping[str, str | Path] | None, name: str
    ) -> dict[str, Any]:
        """CreateTrainingJob's parameters; uploads the scripts.

        Raises:
            UsageError: a script is missing, a folder is given to AWS, two rules have one name, or
                there is no such level of profiling.
            DataError: there is no such folder.
            ServiceError: the scripts cannot be uploaded.
        """
        if inputs is None or isinstance(inputs, (str, Path)):
            inputs = {} if inputs is None else {"training": inputs}
        output = self.output_path or f"s3://{self.session.default_bucket}/"
        metrics = {**(METRICS if self.image == IMAGE else {}), **self.metrics}
        values = {**self.hyperparameters, **self._source(name)}
        request: dict[str, Any] = {
            "TrainingJobName": name,
            "RoleArn": self.session.role,
            "AlgorithmSpecification": {
                "TrainingImage": self.image,
                "TrainingInputMode": self.input_mode,
                "MetricDefinitions": [
                    {"Name": metric, "Regex": regex} for metric, regex in metrics.items()
                ],
            },
            "HyperParameters": {
                key: value if isinstance(value, str) else json.dumps(value)
                for key, value in values.items()
            },
            "OutputDataConfig": {"S3OutputPath": output},
            "ResourceConfig": {
                "InstanceType": self.instance_type,
                "InstanceCount": self.instance_count,
                "VolumeSizeInGB": self.volume_gb,
            },
            "StoppingCondition": {"MaxRuntimeInSeconds": self.max_run_seconds},
            "Environment": dict(self.environment),
        }
        if inputs:
            request["InputDataConfig"] = [
                self._channel(channel, place) for channel, place in inputs.items()
            ]
        if self.checkpoint_uri is not None:
            request["CheckpointConfig"] = {"S3Uri": self.checkpoint_uri}
        if self.debug is not None:
            request.update(self.debug.request(output, self._rule_sources(name, self.debug)))
        if self.profile is not None:
            request.update(Profiling.of(self.profile).request(output))
        return request

    def _channel(self, channel: str, place: str | Path) -> dict[str, Any]:
        uri = str(place)
        if not uri.startswith("s3://"):
            folder = Path(place).expanduser()
            if not folder.is_dir():
                raise DataError(f"there is no folder {place}: give a folder or an S3 URI")
            uri = link(self.session, folder)
        return {
            "ChannelName": channel,
            "DataSource": {
                "S3DataSource": {
                    "S3DataType": "S3Prefix",
                    "S3Uri": uri,
                    "S3DataDistributionType": "FullyReplicated",
                }
            },
        }

    def _rule_sources(self, name: str, debug: Debugging) -> dict[Path, str]:
        """Where the files of custom rules are in S3, once they have been uploaded."""
        places: dict[Path, str] = {}
        sources = dict.fromkeys(rule.source for rule in debug.rules if rule.source is not None)
        for number, source in enumerate(sources):
            if not source.expanduser().is_file():
                raise UsageError(f"there is no file {source} with a rule: give a Python file")
            key = f"{name}/rules/{number}/{source.name}"  # two may have the same name
            with spoken_faults():
                client = self.session.client("s3")
                client.upload_file(str(source.expanduser()), self.session.default_bucket, key)
            places[source] = f"s3://{self.session.default_bucket}/{key}"
        return places

    def _source(self, name: str) -> dict[str, str]:
        """The hyperparameters by which the training toolkit finds the scripts."""
        if self.entry_point is None:
            return {}
        script = Path(self.entry_point).expanduser()
        folder = script.parent if self.source_dir is None else self.source_dir.expanduser()
        program = script.name if self.source_dir is None else self.entry_point
        if not (folder / program).is_file():
            raise UsageError(f"there is no script {folder / program}: give a file as entry_point")
        files = [folder / program] if self.source_dir is None else sorted(folder.iterdir())
        bucket, key = self.session.default_bucket, f"{name}/source/sourcedir.tar.gz"
        with spoken_faults():
            self.session.client("s3").upload_fileobj(_packed(files), bucket, key)
        return {
            "sagemaker_program": program,
            "sagemaker_submit_directory": f"s3://{bucket}/{key}",
        }


def start_job(session: Session, request: Mapping[str, Any]) -> TrainingJob:
    """Ask for a job with CreateTrainingJob's parameters.

    Raises:
        ServiceError: the service refuses it.
        UsageError: its name is taken.
    """
    client = session.client("sagemaker")
    name = str(request["TrainingJobName"])
    with spoken_faults():
        try:
            client.create_training_job(**request)
        except client.exceptions.ResourceInUse as error:
            raise UsageError(f"there is a job {name} already: choose another name") from error
    return TrainingJob(session, name)


def made_up_name(stem: str) -> str:
    """A job's name of some words and the time, to the millisecond."""
    words = re.sub(r"[^a-zA-Z0-9]+", "-", Path(stem).name.split(".")[0]).strip("-") or "job"
    moment = datetime.now(tz=timezone.utc).strftime("%Y%m%d-%H%M%S-%f")[:-3]
    return f"{words[: NAME_LIMIT - len(moment) - 1].rstrip('-')}-{moment}"


def _packed(files: list[Path]) -> io.BytesIO:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:
        for file in files:
            tar.add(file, arcname=file.name)
    archive.seek(0)
    return archive
