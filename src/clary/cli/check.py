"""`clary check`."""

from __future__ import annotations

from clary.cli.parser import Switch
from clary.sdk.locations import resolve_data
from clary.sdk.processes import run_job_program


def check(
    data: str,
    /,
    *,
    json: Switch = False,
) -> int:
    """Find everything that is wrong with pictures at once, before training on them.

    Ends with exit code 1 when training would go wrong.

    Args:
        data: A folder with one folder of pictures per class (or train/, valid/ and test/ with
            such folders in them), a manifest, an archive, or one of: cifar10, digits, dogs.
        json: Print the findings as JSON, for programs.
    """
    arguments = [resolve_data(data)]
    if json:
        arguments.append("--json")
    return run_job_program("check", arguments)
