"""A look at the pictures before many trainings on them, so that none of these needs its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from pydantic import ValidationError

from clary.errors import DataError, FormatError, ProgramFailed
from clary.formats.data_check import CheckReport
from clary.formats.training_options import TrainingOptions, nothing_to_judge_by
from clary.sdk.processes import job_program_output

# The options that decide which pictures are held out, and those that say how they are used.
SPLIT_OPTIONS = ("seed", "valid_fraction", "test_fraction", "group_by")
CHECK_OPTIONS = (*SPLIT_OPTIONS, "image_size", "batch_size")

RunProgram: TypeAlias = Callable[[str, Sequence[str]], "tuple[int, str]"]


def check_pictures(
    data: str,
    options: Mapping[str, Any],
    *,
    look: bool = True,
    run: RunProgram = job_program_output,
) -> CheckReport:
    """Check pictures as closely as a training does.

    Args:
        data: a path or a known name.
        options: those of the training, as text; what the check has no use for is left out.
        look: at the pictures; otherwise they are only counted.
        run: runs a job program and returns its exit code and what it has printed.

    Raises:
        ProgramFailed: they cannot be looked at, and the program has said why.
        DataError: training would go wrong.
        FormatError: the program has not printed a report.
    """
    given = given_arguments(options, CHECK_OPTIONS)
    how = "--as-training" if look else "--count"
    code, text = run("check", [data, "--json", how, *given])
    if not text:
        raise ProgramFailed(code)
    try:
        report = CheckReport.model_validate_json(text)
    except ValidationError as error:
        raise FormatError(f"the check of {data} has printed something else: {error}") from error
    errors = [finding for finding in report.findings if finding.severity == "error"]
    if errors:
        raise DataError(
            f"training would go wrong for {len(errors)} reason(s): {errors[0].message} "
            "`clary check` lists all; --skip-check trains nevertheless"
        )
    return report


def require_judged(counts: Mapping[str, Mapping[str, int]], options: TrainingOptions) -> None:
    """Be sure that there are pictures to judge epochs and trials by.

    Args:
        counts: of a check: pictures by split and class.
        options: of the training.

    Raises:
        UsageError: there are none.
    """
    if not any(counts.get("valid", {}).values()):
        raise nothing_to_judge_by(options)


def given_arguments(options: Mapping[str, Any], names: Sequence[str]) -> list[str]:
    """Those of some options that have a value, as arguments of a program."""
    return [
        f"--{name.replace('_', '-')}={options[name]}"
        for name in names
        if options.get(name) is not None
    ]
