"""What hangs in a script's modules: callables that a saved model does not keep."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from clary.debugger.guarding import Guarded


class Attached(Guarded):
    """A callable that torch calls from a module or a parameter; as guarded as the watcher's own.

    What it raises reaches the script: it is said of a configuration that cannot be used.
    """

    def __init__(self, work: Callable[[], None], *, once: bool = False) -> None:
        super().__init__(self._run, _raise)
        self._own = work
        self._once = once
        self.handle: Any = None

    def _run(self, *_: Any) -> None:
        if self._once and self.handle is not None:
            self.handle.remove()
        self._own()


def _raise(error: Exception) -> None:
    raise error
