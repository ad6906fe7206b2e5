"""Whether the best value lies at an end of its range, and what lies beyond."""

from __future__ import annotations

from dataclasses import dataclass

from clary.errors import UsageError
from clary.formats.training_options import TrainingOptions
from clary.formats.tuning_record import (
    CategoricalRange,
    ContinuousRange,
    IntegerRange,
    ParameterRange,
    Value,
)
from clary.jobs.tuning_report.axes import Axis, number, space

# Of the range on its scale: a value nearer to an end than this lies at the end.
AT_THE_END = 0.05
# By how much a logarithmic range grows; others grow by their own length.
FACTOR = 10


@dataclass(frozen=True)
class Widened:
    """A range whose best value lies at its `end`, `lower` or `upper`.

    `value` and `range` are the old ones as a person reads them, `space` is the wider range as
    `--space` takes it.
    """

    end: str
    value: str
    range: str
    space: str


def widened(axis: Axis, value: Value | None) -> Widened | None:
    """The range that reaches beyond the end at which `value` lies.

    None where it lies elsewhere, or where there is nothing beyond: below 0 where the range begins
    there, or what the training would refuse.
    """
    tuned = axis.tuned
    fraction = None if value is None else axis.fraction(value)
    if value is None or fraction is None or isinstance(tuned, CategoricalRange):
        return None
    if axis.scale == "ReverseLogarithmic" or tuned.low == tuned.high:
        return None
    low, high = _grown(axis, float(tuned.low), float(tuned.high))
    if fraction >= 1 - AT_THE_END:
        end, low = "upper", float(tuned.low)
    elif fraction <= AT_THE_END:
        end, high = "lower", float(tuned.high)
    else:
        return None
    if (low, high) == (tuned.low, tuned.high) or not _taken(tuned, low if end == "lower" else high):
        return None
    return Widened(
        end=end,
        value=number(value),
        range=f"{number(tuned.low)} to {number(tuned.high)}",
        space=space(_with_ends(tuned, low, high)),
    )


def _with_ends(tuned: ContinuousRange | IntegerRange, low: float, high: float) -> ParameterRange:
    ends = {"low": low, "high": high}
    if tuned.kind == "integer":
        ends = {"low": round(low), "high": round(high)}
    return tuned.model_copy(update=ends)


def _grown(axis: Axis, low: float, high: float) -> tuple[float, float]:
    """The ends of a range that reaches further on both sides; not below 0, nor a count below 1."""
    if axis.scale == "Logarithmic":
        lowest, low, high = 0.0, low / FACTOR, high * FACTOR
    else:
        lowest, low, high = min(low, 0.0), low - (high - low), high + (high - low)
    if axis.tuned.kind == "integer":
        lowest = min(float(axis.tuned.low), 1.0)
        return max(float(round(low)), lowest), float(round(high))
    # Six digits: a tenth of 0.0003 is 2.9999999999999997e-05 to a computer.
    return max(float(f"{low:.6g}"), lowest), float(f"{high:.6g}")


def _taken(tuned: ContinuousRange | IntegerRange, value: float) -> bool:
    """Whether a training takes the value; a script's own parameters take any."""
    if tuned.name not in TrainingOptions.model_fields:
        return True
    try:
        TrainingOptions.parse({tuned.name: round(value) if tuned.kind == "integer" else value})
    except UsageError:
        return False
    return True
