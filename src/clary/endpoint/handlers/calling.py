"""Calls a handler with the context, or without, as its parameters say."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

_CONTEXT = frozenset({"context", "ctx", "_context", "_ctx", "_"})
_BY_PLACE = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


class Handler:
    """One function of a script, and whether it wants the context behind its arguments.

    SageMaker's toolkit counts parameters. Here a parameter that has a default and another name,
    as in `model_fn(model_dir, file_name=None)`, keeps its default.
    """

    def __init__(self, function: Callable[..., Any], arguments: int) -> None:
        """Look at the parameters.

        Raises:
            TypeError: it takes neither `arguments` arguments nor one more.
        """
        self._function = function
        self._wants_context = _wants_context(function, arguments)

    def __call__(self, context: Any, *arguments: Any) -> Any:
        """Call it; what it raises goes through."""
        if self._wants_context:
            return self._function(*arguments, context)
        return self._function(*arguments)


def _wants_context(function: Callable[..., Any], arguments: int) -> bool:
    parameters = inspect.signature(function).parameters.values()
    places = [parameter for parameter in parameters if parameter.kind in _BY_PLACE]
    many = any(parameter.kind is inspect.Parameter.VAR_POSITIONAL for parameter in parameters)
    needed = sum(parameter.default is inspect.Parameter.empty for parameter in places)
    if (len(places) < arguments and not many) or needed > arguments + 1:
        name = getattr(function, "__name__", repr(function))
        raise TypeError(f"{name} takes {len(places)} arguments but {arguments} were given.")
    if len(places) <= arguments:
        return False
    extra = places[arguments]
    return extra.default is inspect.Parameter.empty or extra.name in _CONTEXT
