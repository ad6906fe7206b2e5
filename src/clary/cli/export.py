"""`clary export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from clary.sdk.locations import resolve_model
from clary.sdk.processes import run_job_program
from clary.settings import Settings


def export(
    model: str,
    /,
    *,
    format: Literal["onnx", "openvino", "torchscript"],  # noqa: A002 - the option's name
    output: Annotated[Path | None, Parameter(name=("--output", "-o"))] = None,
    compare: Annotated[list[Path] | None, Parameter(consume_multiple=True, negative=())] = None,
) -> int:
    """Convert a model, its preprocessing included, and compare its answers with the original's.

    Args:
        model: A job's name or folder, latest, a model.tar.gz, or a model folder.
        format: What to convert to.
        output: The file to write: .onnx, .xml for openvino, .pt for torchscript.
        compare: More pictures on which to compare the answers.
    """
    arguments = [str(resolve_model(model, Settings.from_environment())), "--format", format]
    if output is not None:
        arguments += ["--output", str(output)]
    if compare:
        arguments += ["--compare", *map(str, compare)]
    return run_job_program("export", arguments)
