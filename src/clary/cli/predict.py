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
    top: int | None = None,
    batch_size: int | None = None,
    workers: int | None = None,
    device: str | None = None,
    precision: Literal["fp32", "bf16"] | None = None,
) -> int:
    """Classify pictures with a trained model.

    Args:
        model: A job's name or folder, latest, a model.tar.gz, or a model folder.
        pictures: Files, folders, URLs, or - for a picture on the standard input.
        format: How to print the answers.
        top: How many classes to print for each picture; 2 in the table, all elsewhere.
        batch_size: Pictures that go through the network at once; 32 by default.
        workers: Threads that decode pictures; one a core by default.
        device: cpu or cuda; a GPU by default where there is one.
        precision: The arithmetic; fp32 by default, as the model was judged.

    Raises:
        UsageError: there is no such model or option.
    """
    given = {
        "--format": format,
        "--top": top,
        "--batch-size": batch_size,
        "--workers": workers,
        "--device": device,
        "--precision": precision,
    }
    refuse_options("predict", pictures, list(given))
    arguments = [str(resolve_model(model, Settings.from_environment())), *pictures]
    arguments += [f"{name}={value}" for name, value in given.items() if value is not None]
    return run_job_program("predict", arguments)
