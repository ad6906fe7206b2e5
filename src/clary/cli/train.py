"""`clary train`: its options are the fields of `TrainingOptions`, one parameter each."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Annotated

from cyclopts import Group, Parameter

from clary.cli.parser import Switch
from clary.cli.training_parameters import given_options, with_training_options
from clary.errors import UsageError
from clary.sdk.locations import LATEST, latest_job_on, resolve_job
from clary.sdk.training_job import TrainingJob
from clary.settings import Settings

JOB = Group("The job", sort_key=0)


@with_training_options()
def train(
    data: str | None = None,
    /,
    *,
    name: Annotated[str | None, Parameter(group=JOB)] = None,
    output: Annotated[Path | None, Parameter(group=JOB)] = None,
    resume: Annotated[
        list[str] | None, Parameter(group=JOB, consume_multiple=(0, 1), negative=())
    ] = None,
    processes: Annotated[int, Parameter(group=JOB)] = 1,
    skip_check: Annotated[Switch, Parameter(group=JOB)] = False,
    no_report: Annotated[Switch, Parameter(group=JOB)] = False,
    **options: str | bool | None,
) -> int:
    """Fine-tune a classifier on your pictures, judge it, and write a report.

    Args:
        data: A folder with one folder of pictures per class (or train/, valid/ and test/ with
            such folders in them), a manifest, an archive, or one of: cifar10, digits, dogs.
        name: The job's name; made of the data's name and the time by default.
        output: The folder of the job; jobs/NAME in CLARY_HOME by default.
        resume: Go on from the last checkpoint of a job, given by name or folder; without a value,
            the latest job. Other options given here replace the earlier ones.
        processes: Processes that train together, one a GPU.
        skip_check: Do not look at the pictures before training.
        no_report: Do not write the report afterwards.

    Raises:
        UsageError: an option is out of bounds, or the job cannot be made or resumed.
        DataError: there is no such data.
        StorageError: the job's folder cannot be written.
    """
    if processes < 1:
        raise UsageError(f"--processes is {processes} but must be at least 1")
    settings = Settings.from_environment()
    given = given_options(options)
    if resume is not None:
        if name is not None or output is not None:
            raise UsageError("--resume goes on in the job's own folder: leave --name, --output out")
        if resume or data is None:
            directory = resolve_job(resume[0] if resume else LATEST, settings)
        else:
            directory = latest_job_on(data, settings)
        job = TrainingJob.resume(directory, given, settings, data=data)
    elif data is None:
        raise UsageError(
            "`clary train` needs the folder of your pictures, as in `clary train photos/`; "
            "`clary train digits` tries it without any"
        )
    else:
        job = TrainingJob.create(data, given, settings, name=name, output=output)
    arguments = [
        flag for flag, on in (("--skip-check", skip_check), ("--no-report", no_report)) if on
    ]
    return _run(job, tuple(arguments), processes)


def _run(job: TrainingJob, arguments: tuple[str, ...], processes: int) -> int:
    verb = "Resuming" if job.resumed else "Training"
    print(f"{verb} {job.record.name} in {_short(job.directory.root)}", flush=True)
    began = time.monotonic()
    record = job.run(arguments, processes=processes)
    took = _duration(time.monotonic() - began)
    name = record.name
    if record.status == "Completed":
        print(f"{name} is done in {took}: {_short(job.directory.archive)}", flush=True)
        return 0
    if record.status == "Stopped":  # the program has said how to go on
        print(f"{name} stopped after {took}", flush=True)
        return record.exit_code or 0
    print(f"{name} failed after {took}", flush=True)
    if not job.directory.failure.exists():  # the program could not say why
        print(f"clary: {record.failure_reason}", file=sys.stderr, flush=True)
    if any(job.directory.checkpoints.iterdir()):
        print(f"Go on with it: clary train --resume {name}", flush=True)
    return record.exit_code or 1


def _short(path: Path) -> str:
    try:
        return f"~/{path.relative_to(Path.home())}"
    except ValueError:
        return str(path)


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"
