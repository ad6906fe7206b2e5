"""The fields of `TrainingOptions` as parameters of a command: one list, derived, never copied.

All values are taken as text: `TrainingOptions.parse` checks them, with its own sentences.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any, get_args

from cyclopts import Group, Parameter
from pydantic.fields import FieldInfo

from clary.formats.training_options import GROUPS, TrainingOptions

OptionValues = Mapping[str, str | bool | None]


def with_training_options(
    *names: str,
) -> Callable[[Callable[..., int]], Callable[..., int]]:
    """Give a command that takes `**options` a parameter for each field named, or for every one."""

    def decorate(command: Callable[..., int]) -> Callable[..., int]:
        written = inspect.signature(command, eval_str=True)
        own = [p for p in written.parameters.values() if p.kind is not p.VAR_KEYWORD]
        fields = [p for p in _parameters() if not names or p.name in names]
        signature = written.replace(parameters=[*own, *fields])
        command.__signature__ = signature  # type: ignore[attr-defined]
        return command

    return decorate


def given_options(options: OptionValues) -> dict[str, Any]:
    """The options that were given. A switch that was given is the opposite of its default."""
    fields = TrainingOptions.model_fields
    return {
        name: not fields[name].default if fields[name].annotation is bool else value
        for name, value in options.items()
        if value is not None
    }


def _parameters() -> Iterator[inspect.Parameter]:
    group = Group("")
    for number, (name, field) in enumerate(TrainingOptions.model_fields.items(), start=1):
        if name in GROUPS:
            group = Group(GROUPS[name], sort_key=number)
        switch = field.annotation is bool
        option = name.replace("_", "-")
        parameter = Parameter(
            # A switch that is on by default can only be turned off, and the other way round.
            name=f"--no-{option}" if switch and field.default else f"--{option}",
            negative=(),
            group=group,
            help=_sentence(field),
            show_default=False if switch else _default_text(field.default),
            allow_leading_hyphen=not switch,
            **({} if switch else _metavar(field.annotation)),
        )
        yield inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=None,
            annotation=Annotated[bool | None if switch else str | None, parameter],
        )


def _sentence(field: FieldInfo) -> str:
    text = str(field.description)
    if field.annotation is bool and field.default:
        text = f"do not {text}"
    return f"{text[0].upper()}{text[1:]}."


def _default_text(default: object) -> str | bool:
    return False if default is None or default == () else str(default)


def _metavar(annotation: object) -> dict[str, Any]:
    """N for a whole number, X for a number, WORD for one of a few, TEXT for anything else."""
    if not hasattr(Parameter(), "metavar"):
        return {}  # cyclopts 4, the last for Python 3.10, shows no values
    kinds = _flat(annotation)
    if int in kinds:
        return {"metavar": "N"}
    if float in kinds:
        return {"metavar": "X"}
    return {"metavar": "TEXT" if str in kinds else "WORD"}


def _flat(annotation: object) -> set[object]:
    parts = get_args(annotation)
    return {annotation} if not parts else set().union(*(_flat(part) for part in parts))
