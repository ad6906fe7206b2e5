"""The part of JSONPath that batch transform jobs filter their records with.

    $                    the record itself
    .name  ['name']      a member            ['a','b']    an object of several members
    [0]    [-1]          an element          [0,2,5:]     a list of several elements
    [1:4]                a list of elements, the last one included, as SageMaker counts
    .*     [*]           all members or elements, as a list

What comes after a list is applied to each of its elements. A row of CSV is a list of texts.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from clary.errors import FormatError

WHOLE = "$"

_DOT_NAME = re.compile(r"\.([^.\[\]*'\"\s]+)")
_DOT_ALL = re.compile(r"\.\*")
_BRACKETS = re.compile(r"\.?\[((?:'[^']*'|\"[^\"]*\"|[^\]'\"])*)\]")
_NAME = re.compile(r"\s*(?:'([^']*)'|\"([^\"]*)\")\s*(?:,|$)")
_INDEX = re.compile(r"-?\d+$")
_SLICE = re.compile(r"(-?\d+)?\s*:\s*(-?\d+)?$")


class _Range(NamedTuple):
    """Elements from `first` to `last`, both included; None is the end of the list."""

    first: int | None
    last: int | None


@dataclass(frozen=True)
class _Names:
    names: tuple[str, ...]


@dataclass(frozen=True)
class _Elements:
    parts: tuple[int | _Range, ...]


@dataclass(frozen=True)
class _All:
    pass


_Step = _Names | _Elements | _All


@dataclass(frozen=True)
class JsonPath:
    """One parsed path. `text` is what was parsed."""

    text: str
    steps: tuple[_Step, ...]

    @property
    def is_whole(self) -> bool:
        """Whether it gives everything back."""
        return not self.steps

    @property
    def selects_columns(self) -> bool:
        """Whether it can be applied to a row of CSV: by positions, and once."""
        return self.is_whole or (len(self.steps) == 1 and not isinstance(self.steps[0], _Names))

    @classmethod
    def parse(cls, text: str) -> JsonPath:
        """Read a path.

        Raises:
            FormatError: it is none, or uses an operator that is not offered.
        """
        if not text.startswith("$"):
            raise FormatError(f"{text!r} is no JSONPath: it must begin with $")
        steps: list[_Step] = []
        at = 1
        while at < len(text):
            if match := _DOT_ALL.match(text, at):
                steps.append(_All())
            elif match := _DOT_NAME.match(text, at):
                steps.append(_Names((match[1],)))
            elif match := _BRACKETS.match(text, at):
                steps.append(_in_brackets(match[1].strip(), text))
            else:
                raise FormatError(_unknown(text[at:], text))
            at = match.end()
        return cls(text, tuple(steps))

    def apply(self, value: Any) -> Any:
        """The part of a value that the path names.

        Args:
            value: what JSON can say.

        Raises:
            FormatError: the value has no such part.
        """
        found, many = [value], False
        for step in self.steps:
            if isinstance(step, _Names):
                found = [self._members(one, step.names) for one in found]
            else:
                single = isinstance(step, _Elements) and len(step.parts) == 1
                parts = [self._parts(one, step) for one in found]
                many = many or not (single and isinstance(step.parts[0], int))  # type: ignore[union-attr]
                found = [part for some in parts for part in some]
        return found if many else found[0]

    def _members(self, value: Any, names: Sequence[str]) -> Any:
        for name in names:
            if not isinstance(value, dict) or name not in value:
                raise FormatError(f"a record has no member {name!r}, which {self.text} asks for")
        return value[names[0]] if len(names) == 1 else {name: value[name] for name in names}

    def _parts(self, value: Any, step: _Elements | _All) -> list[Any]:
        if isinstance(step, _All):
            if isinstance(value, dict):
                return list(value.values())
            if isinstance(value, list):
                return value
            raise FormatError(f"a record has no members or elements where {self.text} has *")
        if not isinstance(value, list):
            raise FormatError(f"a record has no list where {self.text} asks for elements")
        found: list[Any] = []
        for part in step.parts:
            if isinstance(part, int):
                if not -len(value) <= part < len(value):
                    raise FormatError(
                        f"a record has {len(value)} elements, and {self.text} asks for number "
                        f"{part}, counted from 0"
                    )
                found.append(value[part])
            else:
                last = len(value) - 1 if part.last is None else part.last
                last += len(value) if last < 0 else 0
                found += value[part.first : last + 1]
        return found


def _in_brackets(inside: str, text: str) -> _Step:
    if inside == "*":
        return _All()
    if inside[:1] in {"'", '"'}:
        return _Names(tuple(_names(inside, text)))
    parts: list[int | _Range] = []
    for word in inside.split(","):
        piece = word.strip()
        if _INDEX.match(piece):
            parts.append(int(piece))
        elif match := _SLICE.match(piece):
            first, last = match[1], match[2]
            parts.append(
                _Range(None if first is None else int(first), None if last is None else int(last))
            )
        else:
            raise FormatError(_unknown(f"[{inside}]", text))
    return _Elements(tuple(parts))


def _names(inside: str, text: str) -> list[str]:
    names = []
    at = 0
    while at < len(inside):
        match = _NAME.match(inside, at)
        if match is None:
            raise FormatError(_unknown(f"[{inside}]", text))
        names.append(match[1] if match[1] is not None else match[2])
        at = match.end()
    return names


def _unknown(piece: str, text: str) -> str:
    return (
        f"{piece!r} in the JSONPath {text!r} is not offered: use .name, ['name'], [0], [1:4], "
        "[0,2] or *"
    )
