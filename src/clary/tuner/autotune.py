"""Ranges for hyperparameters of which only a name and a typical value are known.

SageMaker's Autotune chooses them by rules that are not published; these are the customary ones:
a learning rate by factors, a share near 1 by its distance from 1, a count by doublings.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping

from clary.errors import UsageError
from clary.tuner.bounds import is_number, is_whole
from clary.tuner.ranges import (
    MAX_INTEGER,
    CategoricalRange,
    ContinuousRange,
    IntegerRange,
    Range,
)

_SWITCHES = (("true", "false"), ("True", "False"), ("yes", "no"), ("on", "off"))
_OPTIMIZERS = ("sgd", "adam", "adamw", "rmsprop")
_RATE = re.compile(r"(^|[-_])(lr|rate|eta|lr0)($|[-_])|learning[-_]?rate")
_SHARE_NOT_RATE = re.compile(r"drop|keep|subsample|sample|mix|smooth|share|fraction|ratio|prob")
_EXPONENTS = re.compile(r"batch|hidden|units|width|dim|size|channels|filters")


def ranges_from_hints(hints: Mapping[str, str]) -> tuple[Range, ...]:
    """A range for each hyperparameter, with its typical value inside.

    Args:
        hints: a typical value as text, by hyperparameter; it may be in quotes, as JSON writes
            strings, and values chosen from it then are, too.

    Raises:
        UsageError: a hint tells neither a number nor one of the choices that are known by heart.
    """
    return tuple(_range(name, hint) for name, hint in hints.items())


def _range(name: str, hint: str) -> Range:
    text = _unquoted(hint)
    quoted = text != hint.strip()
    for switch in (*_SWITCHES, _OPTIMIZERS):
        if text in switch:
            return CategoricalRange(name, tuple(json.dumps(x) if quoted else x for x in switch))
    number = float(text) if is_number(text) else math.nan
    if not math.isfinite(number) or abs(number) > MAX_INTEGER / 16:
        raise UsageError(
            f"no range of {name} follows from the hint {hint!r}: give a number or true/false, or "
            "list its values as a categorical range"
        )
    if is_whole(text):
        return _whole(name, int(number), quoted)
    return _continuous(name, number)


def _unquoted(hint: str) -> str:
    try:
        value = json.loads(hint)
    except json.JSONDecodeError:
        return hint.strip()
    return value.strip() if isinstance(value, str) else hint.strip()


def _whole(name: str, number: int, quoted: bool) -> Range:
    if _EXPONENTS.search(name.lower()) and number >= 4:
        choices = (number // 4, number // 2, number, number * 2, number * 4)
        return CategoricalRange(
            name, tuple(json.dumps(str(x)) if quoted else str(x) for x in choices)
        )
    if number > 0:
        return IntegerRange(name, max(1, number // 2), number * 2)
    reach = max(1, abs(number))
    return IntegerRange(name, number - reach, number + reach)


def _continuous(name: str, number: float) -> Range:
    if 0 < number < 1:
        if _RATE.search(name.lower()) and not _SHARE_NOT_RATE.search(name.lower()):
            return ContinuousRange(name, number / 100, min(number * 10, 1.0), "Logarithmic")
        if number >= 0.8:
            distance = 1 - number
            return ContinuousRange(
                name, 1 - min(5 * distance, 1.0), 1 - distance / 10, "ReverseLogarithmic"
            )
        if number < 0.05:
            return ContinuousRange(name, number / 100, min(number * 10, 1.0), "Logarithmic")
        return ContinuousRange(name, 0.0, min(2 * number, 1.0), "Linear")
    if number > 0:
        return ContinuousRange(name, number / 10, number * 10, "Logarithmic")
    if number == 0:
        return ContinuousRange(name, 0.0, 1.0, "Linear")
    return ContinuousRange(name, 2 * number, 0.0, "Linear")
