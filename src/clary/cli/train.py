"""`clary train`."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Group, Parameter
from rich.console import Console

from clary.cli.findings_text import say_findings
from clary.cli.following import follow
from clary.cli.parser import Switch
from clary.cli.profile_text import say_where_time_went
from clary.cli.short_paths import short_path
from clary.cli.training_parameters import given_options, with_training_options
from clary.endings import EXIT_INTERRUPTED
from clary.errors import UsageError
from clary.formats.files import storage_errors
from clary.formats.job_directory import JobDirectory
from clary.sdk.job_listing import has_had_jobs, named_or_latest
from clary.sdk.locations import LATEST, no_such_job, resolve_data
from clary.sdk.looking_ahead import look_ahead
from clary.sdk.picture_debugging import parse_debug
from clary.sdk.picture_training import PictureTraining, latest_job_on, no_job_on, resume_training
from clary.sdk.processes import job_program_output
from clary.sdk.profiling import parse_profile
from clary.sdk.rule_evaluations import (
    PROFILER_RULES_FOLDER,
    RULES_FOLDER,
    evaluations_of,
    findings_of,
)
from clary.sdk.session import Session
from clary.sdk.training_job import JobDescription, TrainingJob
from clary.settings import Settings

Options = Mapping[str, Any]
JOB = Group("The job", sort_key=0)
NO_DATA = (
    "`clary train` needs the folder of your pictures, as in `clary train photos/`; "
    "`clary train digits` tries it without any"
)
_REPORT_FILE = "report.html"


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
    debug: Annotated[
        list[str] | None, Parameter(group=JOB, consume_multiple=(0, 1), negative=())
    ] = None,
    profile: Annotated[
        list[str] | None, Parameter(group=JOB, consume_multiple=(0, 1), negative=())
    ] = None,
    skip_check: Annotated[Switch, Parameter(group=JOB)] = False,
    no_report: Annotated[Switch, Parameter(group=JOB)] = False,
    detach: Annotated[Switch, Parameter(group=JOB)] = False,
    **options: str | bool | None,
) -> int:
    """Fine-tune a classifier on your pictures, judge it, and write a report.

    Ctrl-C stops the training and keeps its checkpoint; a terminal that is closed does not.

    Args:
        data: A folder with one folder of pictures per class (or train/, valid/ and test/ with
            such folders in them), a manifest, an archive, or one of: cifar10, digits, dogs.
        name: The job's name; made of the data's name and the time by default.
        output: A new folder for the model and the report, copied there at the end.
        resume: Go on from the last checkpoint of a job, given by name, as a new job; without a
            value, the latest job. Other options given here replace the earlier ones.
        processes: Processes that train together, one a GPU.
        debug: What is watched for ills besides the losses: some of weights, biases, gradients and
            activations, or all, which it is without a value; off for nothing. By default what
            costs no time.
        profile: What is recorded of where the time goes: steps, for the machine and each step with
            its phases, which is the default and costs next to nothing; full, for torch's operators
            in ten steps as well; off for nothing.
        skip_check: Do not look at the pictures before training.
        no_report: Do not write the report afterwards.
        detach: Return at once; the job goes on in the background.

    Raises:
        UsageError: an option is out of bounds, or the job cannot be made or resumed.
        DataError: there is no such data.
        ModelError: there is no such network, or its weights cannot be had.
        StorageError: the output folder cannot be written.
        ServiceError: the service cannot be started, or refuses the job.
    """
    if processes < 1:
        raise UsageError(f"--processes is {processes} but must be at least 1")
    settings = Settings.from_environment()
    if output is not None:
        output = _new_folder(output, detach=detach)
    began = time.monotonic()
    words: dict[str, Any] = {
        "name": name,
        "hosts": processes,
        "skip_check": skip_check,
        "no_report": no_report,
    }
    if resume is None or debug is not None:
        words["debug"] = parse_debug(debug)
    if resume is None or profile is not None:
        words["profile"] = parse_profile(profile or ())
    given = given_options(options)
    if resume is not None:
        job = _resume(resume, data, given, settings, words)
    elif data is None:
        raise UsageError(NO_DATA)
    else:
        job = _start(data, given, settings, words)
    if detach:
        print(f"`clary jobs logs --follow {job.name}` shows it")
        return 0
    directory = _directory(job, settings)
    code = _end(job, follow(job, directory), began, output)
    _put_rules_into_reports(directory, [JobDirectory(output)] if output is not None else [])
    return code


def _start(data: str, given: Options, settings: Settings, words: Options) -> TrainingJob:
    prepared = PictureTraining.prepare(data, given, settings, **words)
    look_ahead(prepared)
    job = prepared.start(Session.on_this_machine(settings))
    print(f"Training {job.name} in {_place(job, settings)}", flush=True)
    return job


def _resume(
    resume: list[str], data: str | None, given: Options, settings: Settings, words: Options
) -> TrainingJob:
    if data is not None:
        resolve_data(data)
    if not has_had_jobs(settings):
        wanted = resume[0] if resume else LATEST
        raise UsageError(no_job_on(data) if data else no_such_job(wanted, settings))
    session = Session.on_this_machine(settings)
    if resume or data is None:
        earlier = named_or_latest(session, resume[0] if resume else LATEST)
    else:
        earlier = latest_job_on(session, data)
    job = resume_training(session, earlier, given, settings, data=data, **words)
    print(f"Resuming {earlier} as {job.name} in {_place(job, settings)}", flush=True)
    return job


def _end(job: TrainingJob, found: JobDescription, began: float, output: Path | None) -> int:
    took = _duration(time.monotonic() - began)
    if output is not None and found.model_artifacts is not None:
        job.download(output)
    console = Console(highlight=False)
    findings = findings_of(job.session, found.raw)
    failed = found.status == "Failed"
    # Of a training that failed before there was anything to judge, the reason is enough.
    if not failed or any(finding.kind != "note" for finding in findings):
        say_findings(console, findings, evaluations_of(found.raw), job.name)
    if not failed:
        say_where_time_went(console, evaluations_of(found.raw, "profiler"), job.name)
    if found.status == "Completed":
        print(f"{job.name} is done in {took}: {output or found.model_artifacts}", flush=True)
        return 0
    if found.status == "Stopped":
        print(f"{job.name} stopped after {took}", flush=True)
        print(f"Go on with it: clary train --resume {job.name}", flush=True)
        return EXIT_INTERRUPTED
    print(f"{job.name} failed after {took}", flush=True)
    return 1


def _put_rules_into_reports(directory: JobDirectory, copies: Sequence[JobDirectory]) -> None:
    """Rules end after the training, which writes the report: what they said last is added to it."""
    if not any((directory.root / name).is_dir() for name in (RULES_FOLDER, PROFILER_RULES_FOLDER)):
        return
    for place in (directory, *copies):
        page = place.output_data / _REPORT_FILE
        if page.is_file():
            words = [str(directory.root), "--rules-only", "--output", str(page)]
            job_program_output("report", words)


def _new_folder(output: Path, *, detach: bool) -> Path:
    if detach:
        raise UsageError("--output is written at the end: leave it out, or --detach")
    output = output.expanduser().absolute()
    with storage_errors(output):
        if output.exists() and (not output.is_dir() or any(output.iterdir())):
            raise UsageError(f"{output} is not an empty folder: choose another one for --output")
        output.mkdir(parents=True, exist_ok=True)
    return output


def _directory(job: TrainingJob, settings: Settings) -> JobDirectory:
    return JobDirectory(settings.jobs_dir / job.name)


def _place(job: TrainingJob, settings: Settings) -> str:
    return short_path(_directory(job, settings).root)


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"
