"""Handlers get the context where their parameters ask for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from clary.endpoint.handlers.calling import Handler

CONTEXT = "the context"


def plain(data: str, model: str) -> tuple[str, ...]:
    return data, model


def with_context(data: str, model: str, context: str) -> tuple[str, ...]:
    return data, model, context


def by_any_name(data: str, model: str, request: str) -> tuple[str, ...]:
    return data, model, request


def context_by_default(data: str, model: str, context: str | None = None) -> tuple[Any, ...]:
    return data, model, context


def own_default(data: str, model: str, top: int = 5) -> tuple[Any, ...]:
    return data, model, top


def everything(*arguments: str) -> tuple[str, ...]:
    return arguments


def by_name(data: str, model: str, *, top: int = 5) -> tuple[Any, ...]:
    return data, model, top


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (plain, ("d", "m")),
        (with_context, ("d", "m", CONTEXT)),
        (by_any_name, ("d", "m", CONTEXT)),
        (context_by_default, ("d", "m", CONTEXT)),
        (own_default, ("d", "m", 5)),
        (everything, ("d", "m")),
        (by_name, ("d", "m", 5)),
        (lambda data, model: (model, data), ("m", "d")),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_who_gets_the_context(function: Callable[..., Any], expected: tuple[Any, ...]) -> None:
    assert Handler(function, 2)(CONTEXT, "d", "m") == expected


@pytest.mark.parametrize(
    "function", [lambda data: data, lambda a, b, c, d: a], ids=["too few", "too many"]
)
def test_what_cannot_be_called_is_refused_in_the_toolkits_words(
    function: Callable[..., Any],
) -> None:
    with pytest.raises(TypeError, match=r"<lambda> takes \d arguments but 2 were given\."):
        Handler(function, 2)
