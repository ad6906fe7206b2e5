"""The hooks of this process: which one is current, and that all are closed at its end."""

from __future__ import annotations

import atexit
from pathlib import Path
from typing import Protocol

from clary.debugger.background import say


class Closing(Protocol):
    """What is kept here."""

    folder: Path
    worker: str | None

    def close(self) -> None:
        """Write the rest; a second time does nothing."""


_open: list[Closing] = []
_current: list[Closing] = []


def add(hook: Closing) -> None:
    """A hook was made; one that wrote into its folder before is closed.

    Scripts and notebooks make a hook anew without closing the one before, which would keep the
    folder, and the model that it watches, until the process ends.
    """
    for earlier in tuple(_open):
        if earlier.folder == hook.folder and hook.worker in {None, earlier.worker}:
            say(f"the hook that wrote into {hook.folder} before is closed: another one goes on")
            earlier.close()
    if not _open:
        atexit.unregister(_close_all)
        atexit.register(_close_all)
    _open.append(hook)
    set_current(hook)


def remove(hook: Closing) -> None:
    """A hook was closed."""
    if hook in _open:
        _open.remove(hook)
    if current() is hook:
        _current.clear()


def current() -> Closing | None:
    """The hook that was made last, or set; None when there is none, or it is closed."""
    return _current[0] if _current else None


def set_current(hook: Closing | None) -> None:
    """Let `current` give this one."""
    _current[:] = [hook] if hook is not None else []


def _close_all() -> None:
    for hook in tuple(_open):
        hook.close()
