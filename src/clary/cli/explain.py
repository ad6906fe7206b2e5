"""`clary explain`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from clary.sdk.locations import resolve_model
from clary.sdk.processes import run_job_program
from clary.settings import Settings


def explain(
    model: str,
    picture: str,
    /,
    *,
    output: Annotated[Path | None, Parameter(name=("--output", "-o"))] = None,
    target: Annotated[str | None, Parameter(name="--class")] = None,
) -> int:
    """Show what in a picture a model looked at: a heat map over it, and the likeliest classes.

    Args:
        model: A job's name or folder, latest, a model.tar.gz, or a model folder.
        picture: The picture to explain.
        output: The PNG to write; PICTURE-explained.png by default.
        target: The class to explain; the likeliest one by default.
    """
    arguments = [str(resolve_model(model, Settings.from_environment())), picture]
    if output is not None:
        arguments += ["--output", str(output)]
    if target is not None:
        arguments += ["--class", target]
    return run_job_program("explain", arguments)
