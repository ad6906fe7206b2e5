"""What torch calls of a hook: its failure never becomes the training's."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import torch


def runs_for_real() -> bool:
    """Whether torch computes values now: it does not trace, export, compile, or map a function."""
    return not (
        torch._C._is_tracing()
        or torch.compiler.is_compiling()
        or torch._C._functorch.peek_interpreter_stack() is not None
    )


class Guarded:
    """Calls a function, and tells of an exception in place of raising it.

    It hangs in people's modules, so it can be saved with them: what is loaded in its place does
    nothing, and needs nothing of Clary. It does nothing either in a forked process, and while torch
    looks at a model in place of running it: what it sees there are no values.

    Args:
        work: what is called, without gradients being recorded.
        failed: told what it raised.
    """

    def __init__(self, work: Callable[..., None], failed: Callable[[Exception], None]) -> None:
        self._work = work
        self._failed = failed
        self._process = os.getpid()
        self._call: Callable[[tuple[Any, ...]], None] | None = None

    def __call__(self, *args: Any) -> None:
        """Do the work, or tell why not; gives None whatever happens."""
        if self._call is None and "torch._dynamo" in sys.modules:
            self._call = torch.compiler.disable(self._do)  # type: ignore[no-untyped-call]
        (self._call or self._do)(args)

    # torch.compile breaks its graph at a call of it. The compiler is not imported for this: that
    # takes seconds, and most trainings do without.
    __call__._torchdynamo_disable = True  # type: ignore[attr-defined]

    def _do(self, args: tuple[Any, ...]) -> None:
        # Asked here, where the compiler does not follow: to it, all is being compiled.
        if os.getpid() != self._process or not runs_for_real():
            return
        try:
            with torch.no_grad():
                self._work(*args)
        except Exception as error:  # noqa: BLE001 - the training goes on without the hook
            self._failed(error)

    def __reduce__(self) -> tuple[Any, ...]:
        return getattr, (nullcontext(), "__exit__")

    def __deepcopy__(self, memo: object) -> Guarded:
        return self
