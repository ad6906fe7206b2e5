"""`clary report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from clary.cli.parser import Switch
from clary.errors import UsageError
from clary.sdk.description import existing
from clary.sdk.job_listing import has_had_jobs
from clary.sdk.locations import resolve_job
from clary.sdk.processes import run_job_program
from clary.sdk.session import Session
from clary.sdk.tuning_job import TuningJob
from clary.sdk.tuning_recording import find_record, record_folder, record_tuning
from clary.settings import Settings


def report(
    job: str = "latest",
    /,
    *,
    output: Annotated[Path | None, Parameter(name=("--output", "-o"))] = None,
    open: Switch = False,  # noqa: A002 - the option's name
) -> int:
    """Write one HTML page about a training or a tuning job, complete in itself: no network is
    needed to read it.

    Args:
        job: A job's name, its folder, or latest; or a tuning job's name or folder.
        output: The file to write; in the job's folder by default.
        open: Show it in a browser.

    Raises:
        UsageError: there is no such job.
        ServiceError: it is a tuning job without a record, and the service does not answer.
    """
    settings = Settings.from_environment()
    tuned = find_record(job, settings)
    if tuned is None:
        try:
            program, folder = "report", resolve_job(job, settings).root
        except UsageError:
            tuned = _recorded_now(job, settings)
            if tuned is None:
                raise
    if tuned is not None:
        program, folder = "tuning_report", tuned
    arguments = [str(folder)]
    if output is not None:
        arguments += ["--output", str(output)]
    if open:
        arguments.append("--open")
    return run_job_program(program, arguments)


def _recorded_now(name: str, settings: Settings) -> Path | None:
    """The record of a tuning job that nobody has followed to its end; None where there is none."""
    if not has_had_jobs(settings):
        return None
    job = existing(TuningJob(Session.on_this_machine(settings), name))
    if job is None:
        return None
    record_tuning(job, settings)
    return record_folder(name, settings)
