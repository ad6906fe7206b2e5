"""`clary report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from clary.cli.parser import Switch
from clary.sdk.locations import resolve_job
from clary.sdk.processes import run_job_program
from clary.settings import Settings


def report(
    job: str = "latest",
    /,
    *,
    output: Annotated[Path | None, Parameter(name=("--output", "-o"))] = None,
    open: Switch = False,  # noqa: A002 - the option's name
) -> int:
    """Write one HTML page about a training, complete in itself: no network is needed to read it.

    Args:
        job: A job's name, its folder, or latest.
        output: The file to write; in the job's folder by default.
        open: Show it in a browser.
    """
    directory = resolve_job(job, Settings.from_environment())
    arguments = [str(directory.root)]
    if output is not None:
        arguments += ["--output", str(output)]
    if open:
        arguments.append("--open")
    return run_job_program("report", arguments)
