"""What hangs in a script's modules: callables that a saved model does not keep."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import torch


class Attached:
    """A callable that torch calls from a module or a parameter, in the process that made it.

    A model that is pickled takes along one that does nothing and needs nothing of ours.
    """

    # What torch.compile meets of it, it leaves as it is.
    _torchdynamo_disable = True

    def __init__(self, work: Callable[[], None], *, once: bool = False) -> None:
        self._work = work
        self._once = once
        self._process = os.getpid()
        self.handle: Any = None

    def __call__(self, *_: Any) -> None:
        """Do the work, without recording gradients."""
        if os.getpid() != self._process:
            return
        if self._once and self.handle is not None:
            self.handle.remove()
        with torch.no_grad():
            self._work()

    def __reduce__(self) -> tuple[Any, ...]:
        return getattr, (nullcontext(), "__exit__")

    def __deepcopy__(self, _: Any) -> Attached:
        return self
