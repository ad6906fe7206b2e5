"""Where a trial's objective stands in its log, and what to say when it stands nowhere."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from clary.errors import ServiceError, UsageError
from clary.formats.metric_pattern import compile_pattern, matched_number, matched_value
from clary.sdk.log_tail import LogLine
from clary.sdk.training_job import TrainingJob
from clary.sdk.tuning_description import TrialDescription
from clary.sdk.tuning_job import TuningJob

if TYPE_CHECKING:
    import regex

LAST_LINES = 5
_LINE_LIMIT = 160


class MetricMatch(NamedTuple):
    """A line in which an expression has found a number."""

    value: float
    line: LogLine


def find_metric(lines: Iterable[LogLine], pattern: str) -> Iterator[MetricMatch]:
    """What the service finds in a log by a metric's expression, line by line.

    Args:
        lines: of a log, in their order.
        pattern: a regular expression whose first group is the number.

    Raises:
        UsageError: it is no regular expression, or has no group.
    """
    compiled = require_pattern(pattern)
    for line in lines:
        value = matched_value(compiled.search(line.message))
        if value is not None:
            yield MetricMatch(value, line)


def require_pattern(pattern: str) -> regex.Pattern[str]:
    """A metric's expression, compiled.

    Raises:
        UsageError: it is no regular expression, or has no group.
    """
    try:
        compiled = compile_pattern(pattern)
    except ValueError as error:
        raise UsageError(f"{_quoted(pattern)} is no regular expression: {error}") from error
    if not compiled.groups:
        raise UsageError(
            f"{_quoted(pattern)} has no group: put the number in parentheses, as in "
            "'loss=([0-9.]+)'"
        )
    return compiled


def require_objective(job: TuningJob, trial: TrialDescription) -> None:
    """Stop a tuning job whose first trial to end has ended well without its objective, for no
    other one will say it either.

    Raises:
        ServiceError: that is so; told with the end of the trial's log, and how to try expressions.
    """
    if not trial.lacks_objective or any(one.objective is not None for one in job.trials()):
        return
    found = job.description()
    pattern = found.objective_pattern or ""
    lines = list(TrainingJob(job.session, trial.name).lines())
    if pattern and _says_numbers(lines, compile_pattern(pattern)):
        # It diverged, as others need not.
        return
    job.stop()
    last = lines[-LAST_LINES:]
    shown = [f"  | {line.message[:_LINE_LIMIT]}" for line in last] or ["  (its log is empty)"]
    raise ServiceError(
        "\n".join(
            [
                f"the trial {trial.name} has ended without its objective "
                f"{found.objective!r}, so {job.name} was stopped: nothing in its log is found by "
                f"{_quoted(pattern)}; it ends with",
                *shown,
                f"try an expression: clary jobs metrics {trial.name} --regex {_quoted(pattern)}",
            ]
        )
    )


def _says_numbers(lines: Iterable[LogLine], pattern: regex.Pattern[str]) -> bool:
    return any(matched_number(pattern.search(line.message)) is not None for line in lines)


def _quoted(pattern: str) -> str:
    return "'" + pattern.replace("'", "'\\''") + "'"
