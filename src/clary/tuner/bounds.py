"""What every range is checked for, and how its numbers are read."""

from __future__ import annotations

import math
import re
from typing import get_args

from clary.errors import UsageError
from clary.tuner.scaling import Scaling

# Python's own reading takes underscores and the digits of all scripts, too.
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")


def check_name(name: str) -> None:
    """Make sure that a range says what it is for.

    Raises:
        UsageError: it does not.
    """
    if not name:
        raise UsageError("a range has no name: name the hyperparameter that it is for")


def check_bounds(name: str, low: float, high: float, scaling: Scaling) -> None:
    """Make sure that numbers lie between `low` and `high`, and that `scaling` holds them.

    Raises:
        UsageError: there is no such scaling, a bound is not finite, low is above high, or a
            logarithm is asked for that low has not.
    """
    check_name(name)
    if scaling not in get_args(Scaling):
        raise UsageError(
            f"the range of {name} has the scaling {scaling!r}: choose one of "
            f"{', '.join(get_args(Scaling))}"
        )
    if not math.isfinite(high - low):
        raise UsageError(
            f"the range of {name} goes from {low:g} to {high:g}: give bounds that are finite"
        )
    if low > high:
        raise UsageError(
            f"the range of {name} is empty, because {low:g} is above {high:g}: swap the bounds"
        )
    if scaling == "Logarithmic" and low <= 0:
        raise UsageError(
            f"the range of {name} begins at {low:g}, but a logarithm needs numbers above 0: raise "
            "the lower bound or choose a linear scaling"
        )
    if scaling == "ReverseLogarithmic" and not 0 <= low <= high < 1:
        raise UsageError(
            f"the range of {name} goes from {low:g} to {high:g}, but a reverse logarithm needs "
            "numbers from 0 to below 1: change the range or its scaling"
        )


def number(name: str, text: str) -> float:
    """The finite number that `text` says.

    Raises:
        UsageError: it says none.
    """
    value = float(text) if is_number(text) else math.nan
    if not math.isfinite(value):
        raise UsageError(f"{name} is {text.strip()!r}, which is not a number: write one as 0.01")
    return value


def is_number(text: str) -> bool:
    """Whether `text` is a number as people write it, with or without an exponent."""
    return _NUMBER.fullmatch(text.strip()) is not None


def is_whole(text: str) -> bool:
    """Whether `text` is a number written without a point or an exponent."""
    return re.fullmatch(r"\s*[+-]?[0-9]+\s*", text) is not None
