"""SageMaker's hook parameters: all are texts, lists are separated by commas."""

from __future__ import annotations

import re

from clary.errors import UsageError
from clary.formats.regular_expression import is_regular_expression

_COMMA = re.compile(r",(?![^{]*\})(?![^\[]*\])(?![^(]*\))")
TRUE, FALSE = {"true", "1", "yes", "on"}, {"false", "0", "no", "off", ""}


def flag(name: str, value: str | bool) -> bool:
    """A truth value.

    Raises:
        UsageError: it is none.
    """
    text = str(value).strip().lower()
    if text not in TRUE | FALSE:
        raise UsageError(f"{name} is {value!r}: give true or false")
    return text in TRUE


def step_number(name: str, value: str | int, *, least: int = 0) -> int:
    """A step, or a number of steps.

    Raises:
        UsageError: it is not a whole number, or less than `least`.
    """
    try:
        number = int(str(value).strip())
    except ValueError:
        number = least - 1
    if number < least:
        raise UsageError(f"{name} is {value!r}: give a whole number of {least} or more")
    return number


def step_list(name: str, value: str) -> tuple[int, ...]:
    """Steps, such as `0,10,100`.

    Raises:
        UsageError: one is not a whole number of 0 or more.
    """
    return tuple(step_number(name, part) for part in texts(value))


def texts(value: str) -> tuple[str, ...]:
    """The parts of a list, without the blanks around them; empty ones are left out."""
    return tuple(part.strip() for part in value.split(",") if part.strip())


def expressions(name: str, value: str) -> tuple[str, ...]:
    """Regular expressions.

    Raises:
        UsageError: one cannot be compiled.
    """
    # A comma within brackets, as in `a{1,2}`, belongs to an expression.
    parts = [part.strip() for part in _COMMA.split(value) if part.strip()]
    for part in parts:
        if not is_regular_expression(part):
            raise UsageError(f"{name} is {part!r}, which is no regular expression: correct it")
    return tuple(parts)
