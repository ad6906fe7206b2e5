"""Functions and methods of other people's modules, wrapped for a while."""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType
from typing import Any

from torch._C._dynamo import eval_frame

Wrap = Callable[[Callable[..., Any]], Callable[..., Any]]

_MISSING = object()


def leave_uncompiled(function: Any, *, with_all_it_calls: bool = False) -> None:
    """Let compilers neither trace a function nor compile it where it is called from between graphs.

    Versions of torch that cannot be told the latter (before 2.7) compile it, at a cost.
    """
    function._torchdynamo_disable = True
    tell = getattr(eval_frame, "set_code_exec_strategy", None)
    if tell is not None and isinstance(function, FunctionType):
        actions = eval_frame._FrameAction
        below = actions.SKIP if with_all_it_calls else actions.DEFAULT
        tell(function.__code__, eval_frame._FrameExecStrategy(actions.SKIP, below))


def leave_methods_uncompiled(owner: type) -> None:
    """The same for all methods of a class, with all they call."""
    for kind in owner.__mro__[:-1]:
        for value in vars(kind).values():
            function = value.fget if isinstance(value, property) else value
            if isinstance(function, FunctionType):
                leave_uncompiled(function, with_all_it_calls=True)


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
        leave_uncompiled(wrapper)
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
