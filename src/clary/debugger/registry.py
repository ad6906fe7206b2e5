"""The hooks of this process: which one is current, and that all are closed at its end."""

from __future__ import annotations

import atexit
from typing import Protocol


class Closing(Protocol):
    """What is kept here."""

    def close(self) -> None:
        """Write the rest; a second time does nothing."""


_open: list[Closing] = []
_current: list[Closing] = []


def add(hook: Closing) -> None:
    """A hook was made."""
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
