"""What torch calls of a hook: its failure never becomes the training's."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import torch


class Guarded:
    """Calls a function, and tells of an exception in place of raising it.

    It hangs in people's modules, so it can be saved with them: what is loaded in its place does
    nothing, and needs nothing of Clary. In a forked process it does nothing either.

    Args:
        work: what is called, without gradients being recorded.
        failed: told what it raised.
    """

    def __init__(self, work: Callable[..., None], failed: Callable[[Exception], None]) -> None:
        self._work = work
        self._failed = failed
        self._process = os.getpid()

    def __call__(self, *args: Any) -> None:
        """Do the work, or tell why not; gives None whatever happens."""
        if os.getpid() != self._process:
            return
        try:
            with torch.no_grad():
                self._work(*args)
        except Exception as error:  # noqa: BLE001 - the training goes on without the hook
            self._failed(error)

    # torch.compile leaves it as it is, and breaks its graph there.
    __call__._torchdynamo_disable = True  # type: ignore[attr-defined]

    def __reduce__(self) -> tuple[Any, ...]:
        return getattr, (nullcontext(), "__exit__")

    def __deepcopy__(self, memo: object) -> Guarded:
        return self
