"""What `clary train` asks for: a job of the built-in algorithm, new or going on from another.

    PictureTraining.prepare("photos", {"epochs": "5"}, settings).start(session)
    resume_training(session, "photos-…", {"epochs": "9"}, settings)

Whatever a person can have typed wrongly is found before a service is needed.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from clary.errors import UsageError
from clary.formats.builtin_algorithm import (
    IMAGE,
    TrainingRequest,
    require_combinable,
    trains_head_alone,
)
from clary.formats.job_directory import TRAINING_CHANNEL
from clary.formats.known_datasets import KNOWN_DATASETS
from clary.formats.training_options import TrainingOptions
from clary.gpus import count_gpus
from clary.processor import require_native_precision
from clary.sdk.debugging import Debugging
from clary.sdk.estimator import NAME_LIMIT, Estimator, made_up_name, start_job
from clary.sdk.job_listing import list_jobs
from clary.sdk.locations import absolute_path, resolve_data, resolve_model
from clary.sdk.network_naming import require_network
from clary.sdk.picture_debugging import picture_debugging
from clary.sdk.profiling import Level, Profiling
from clary.sdk.session import Session
from clary.sdk.training_job import JobDescription, TrainingJob
from clary.settings import Settings

# SageMaker's pattern of TrainingJobName.
JOB_NAME = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}")
# The longest that SageMaker allows: a machine of one's own has no bill to bound.
MAX_RUN_SECONDS = 28 * 86_400
# Says in the job's description what was typed, for the bucket's name does not.
LOCATION_VARIABLE = "CLARY_TRAINING_DATA"
LOCATION_LIMIT = 512  # SageMaker's for a value of Environment
# What a person sets for one run, and a service that was started earlier does not know.
PASSED_ON = ("CLARY_CACHE_GB",)


@dataclass(frozen=True)
class PictureTraining:
    """A training that can be started. `location` is an absolute path or a known name."""

    location: str
    request: TrainingRequest
    name: str | None = None
    hosts: int = 1
    debug: Debugging | None = None
    profile: Profiling | None = None
    checkpoint_uri: str | None = None

    @classmethod
    def prepare(
        cls,
        data: str,
        options: Mapping[str, Any],
        settings: Settings,
        *,
        name: str | None = None,
        hosts: int = 1,
        debug: Sequence[str] = (),
        profile: Level | None = None,
        skip_check: bool = False,
        no_report: bool = False,
        shared: bool = False,
    ) -> PictureTraining:
        """Check what a person asks for.

        Args:
            data: a path or a known name.
            options: fields of `TrainingOptions`, text allowed.
            settings: whose home is searched for the models that options name.
            name: at most 63 letters, digits and inner hyphens; made up when not given.
            hosts: processes that train together.
            debug: what the training is watched for, as `picture_debugging` takes it.
            profile: what is recorded of where its time goes; None leaves it to the service.
            skip_check: do not look at the pictures before training.
            no_report: do not write the report afterwards.
            shared: the options are those that many trainings share, and each adds its own: whether
                they can be combined is for whoever knows these.

        Raises:
            DataError: there is no such data.
            UsageError: an option is out of bounds, or the name is not allowed.
            ModelError: there is no network of that name.
        """
        location = resolve_data(data)
        parsed = with_absolute_paths(TrainingOptions.parse(options), settings)
        if name is not None and not JOB_NAME.fullmatch(name):
            raise UsageError(
                f"--name is {name!r} but must be 1 to {NAME_LIMIT} letters, digits and inner "
                "hyphens, such as ants-and-bees-2"
            )
        if name is not None and (settings.jobs_dir / name).exists():
            raise UsageError(_taken(name))
        require_native_precision(parsed.precision, count_gpus())
        if not shared:
            require_combinable(parsed, frozen=trains_head_alone(parsed, count_gpus()))
        require_network(parsed)
        request = TrainingRequest(parsed, skip_check=skip_check, no_report=no_report)
        return cls(
            location,
            request,
            name,
            hosts,
            picture_debugging(debug, parsed),
            None if profile is None else Profiling(profile),
        )

    def start(self, session: Session) -> TrainingJob:
        """Ask for the job; a folder is served in place, nothing is copied.

        Raises:
            UsageError: the name is taken.
            ServiceError: the service refuses the job.
        """
        name = self.name or made_up_name(self.location)
        kept = self.checkpoint_uri or f"s3://{session.default_bucket}/{name}/checkpoints"
        estimator = replace(
            self.estimator(session), checkpoint_uri=kept, debug=self.debug, profile=self.profile
        )
        return start_job(session, estimator.request(self.inputs, name))

    @property
    def inputs(self) -> dict[str, str | Path] | None:
        """The folder as a channel; None where the data is named among the hyperparameters."""
        folder = Path(self.location)
        linked = self.location not in KNOWN_DATASETS and folder.is_dir()
        return {TRAINING_CHANNEL: folder} if linked else None

    def estimator(self, session: Session) -> Estimator:
        """What trains like this, without checkpoints, unwatched and unprofiled."""
        request = self.request
        if self.inputs is None:
            request = replace(request, dataset=self.location)
        return Estimator(
            session,
            image=IMAGE,
            hyperparameters=request.to_hyperparameters(),
            environment={
                LOCATION_VARIABLE: self.location[:LOCATION_LIMIT],
                **{key: os.environ[key] for key in PASSED_ON if os.environ.get(key)},
            },
            # A label, but for the GPU: without one in its name a job is not given any.
            instance_type="ml.g5.xlarge" if count_gpus() else "ml.m5.xlarge",
            instance_count=self.hosts,
            max_run_seconds=MAX_RUN_SECONDS,
        )


def resume_training(
    session: Session,
    earlier: str,
    options: Mapping[str, Any],
    settings: Settings,
    *,
    data: str | None = None,
    **words: Any,
) -> TrainingJob:
    """Start a job that goes on from the last checkpoint of an earlier one.

    Args:
        session: with the service that has the earlier job.
        earlier: the earlier job's name.
        options: what differs from its options.
        settings: whose home is searched for the models that options name.
        data: when given, must be what the earlier job was trained on.
        words: as for `PictureTraining.prepare`: `name`, `hosts`, `debug`, `profile`, `skip_check`,
            `no_report`; without `debug` it is watched, and without `profile` profiled, as the
            earlier one was.

    Raises:
        UsageError: an option is out of bounds, the data differ, there is no such job, it was not
            trained by `clary train`, or it still runs.
        DataError: there is no such data.
        ServiceError: the service refuses the job.
    """
    found = TrainingJob(session, earlier).description()
    location = trained_on(found)
    if location is None or found.checkpoints is None:
        raise UsageError(f"the job {earlier} was not started by `clary train`: start a new one")
    if data is not None and resolve_data(data) != location:
        raise UsageError(
            f"the job {earlier} was trained on {location}, not on {data}: leave the data out "
            "to go on with it, or leave --resume out to start a new job"
        )
    _require_idle(session, found)
    before = TrainingRequest.from_hyperparameters(found.hyperparameters).options
    merged = {**before.model_dump(exclude_unset=True), **options}
    words["name"] = words.get("name") or _next_name(session, earlier)
    prepared = PictureTraining.prepare(location, merged, settings, **words)
    if "debug" not in words:
        prepared = replace(prepared, debug=Debugging.of_job(found.raw))
    if "profile" not in words:
        prepared = replace(prepared, profile=Profiling.of_job(found.raw))
    return replace(prepared, checkpoint_uri=found.checkpoints).start(session)


def latest_job_on(session: Session, data: str) -> str:
    """The name of the latest job on some data.

    Raises:
        DataError: there is no such data.
        UsageError: no job was trained on it.
    """
    location = resolve_data(data)
    for found in list_jobs(session):
        if trained_on(found) == location:
            return found.name
    raise UsageError(no_job_on(data))


def no_job_on(data: str) -> str:
    """The sentence about data that no job was trained on."""
    return f"there is no job on {data} to resume: leave --resume out to start one"


def with_absolute_paths(options: TrainingOptions, settings: Settings) -> TrainingOptions:
    """Options that mean the same in another folder.

    Raises:
        UsageError: there is no such model or file of weights.
    """
    changes: dict[str, str] = {}
    if options.weight_path is not None:
        changes["weight_path"] = str(resolve_model(options.weight_path, settings))
    if options.weights not in {"pretrained", "none"}:
        path = Path(options.weights).expanduser()
        if not path.is_file():
            raise UsageError(
                f"--weights is {options.weights!r} but there is no such file: give pretrained, "
                "none, or a file of weights"
            )
        changes["weights"] = str(absolute_path(path))
    return options.model_copy(update=changes)


def trained_on(job: JobDescription) -> str | None:
    """What a job of `clary train` was given: an absolute path or a known name."""
    environment = job.raw.get("Environment") or {}
    return environment.get(LOCATION_VARIABLE)


def _require_idle(session: Session, earlier: JobDescription) -> None:
    """Two jobs must not write the same checkpoints."""
    for status in ("InProgress", "Stopping"):
        for running in list_jobs(session, status=status):
            if running.checkpoints == earlier.checkpoints:
                raise UsageError(
                    f"the job {running.name} is running: wait for it, or stop it by "
                    f"`clary jobs stop {running.name}`"
                )


def _next_name(session: Session, name: str) -> str:
    """`photos-2` after `photos`, `photos-3` after `photos-2`, whichever is free."""
    first = re.sub(r"-\d{1,3}$", "", name)
    taken = {found.name for found in list_jobs(session)}
    number = 2
    while (following := f"{first[: NAME_LIMIT - 5].rstrip('-')}-{number}") in taken:
        number += 1
    return following


def _taken(name: str) -> str:
    return (
        f"there is a job {name} already: choose another --name, or go on with it by "
        f"`clary train --resume {name}`"
    )
