"""`clary check`."""

from __future__ import annotations

from clary.cli.parser import Switch
from clary.cli.training_parameters import given_options, with_training_options
from clary.formats.training_options import TrainingOptions
from clary.sdk.locations import resolve_data
from clary.sdk.processes import run_job_program


@with_training_options(
    "seed",
    "valid_fraction",
    "test_fraction",
    "group_by",
    "image_size",
    "batch_size",
    "workers",
)
def check(
    data: str,
    /,
    *,
    json: Switch = False,
    quick: Switch = False,
    **options: str | bool | None,
) -> int:
    """Find everything that is wrong with pictures at once, before training on them.

    Ends with exit code 1 when training would go wrong. Give the options that you will train with.

    Args:
        data: A folder with one folder of pictures per class (or train/, valid/ and test/ with
            such folders in them), a manifest, an archive, or one of: cifar10, digits, dogs.
        json: Print the findings as JSON, for programs.
        quick: Decode only files that look cut off: faster, but misses other damage and look-alikes.
    """
    given = given_options(options)
    TrainingOptions.parse(given)
    resolve_data(data)
    arguments = [data, *(f"--{name.replace('_', '-')}={value}" for name, value in given.items())]
    arguments += [flag for flag, on in (("--json", json), ("--quick", quick)) if on]
    return run_job_program("check", arguments)
