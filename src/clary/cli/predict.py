"""`clary predict`."""

from __future__ import annotations

from typing import Annotated, Literal

from cyclopts import Parameter

from clary.cli.parser import refuse_options
from clary.sdk.locations import resolve_model
from clary.sdk.processes import run_job_program
from clary.settings import Settings


def predict(
    model: str,
    /,
    *pictures: Annotated[str, Parameter(allow_leading_hyphen=True)],
    format: Literal["table", "json", "csv"] = "table",  # noqa: A002 - the option's name
    top: int = 1,
) -> int:
    """Classify pictures with a trained model.

    Args:
        model: A job's name or folder, latest, a model.tar.gz, or a model folder.
        pictures: Files, folders, URLs, or - for a picture on the standard input.
        format: How to print the answers.
        top: How many classes to print for each picture.

    Raises:
        UsageError: there is no such model or option.
    """
    refuse_options("predict", pictures, ("--format", "--top"))
    arguments = [str(resolve_model(model, Settings.from_environment())), *pictures]
    arguments += ["--format", format, "--top", str(top)]
    return run_job_program("predict", arguments)
