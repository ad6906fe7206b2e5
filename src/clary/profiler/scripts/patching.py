"""Functions and methods of other people's modules, wrapped for a while."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Wrap = Callable[[Callable[..., Any]], Callable[..., Any]]

_MISSING = object()


class Patches:
    """What was changed, and how it was before."""

    def __init__(self) -> None:
        self._changed: list[tuple[Any, str, Any, Any]] = []

    def wrap(self, owner: Any, name: str, wrap: Wrap) -> None:
        """Put a wrapper in the place of an attribute; where there is no such one, nothing.

        Compilers leave the wrapper alone: what they trace is the original's caller.
        """
        original = getattr(owner, name, None)
        if original is None:
            return
        before = vars(owner).get(name, _MISSING)
        wrapper: Any = wrap(original)
        wrapper._torchdynamo_disable = True
        setattr(owner, name, wrapper)
        self._changed.append((owner, name, before, wrapper))

    def undo(self) -> None:
        """Put back what nobody else has changed since."""
        while self._changed:
            owner, name, before, wrapper = self._changed.pop()
            if vars(owner).get(name) is not wrapper:
                continue
            if before is _MISSING:
                delattr(owner, name)
            else:
                setattr(owner, name, before)
