"""The hook of a process: the one that was made last."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from clary.debugger.parameters import flag

from ..exceptions import SMDebugTypeError

if TYPE_CHECKING:
    from .hook import Hook

USE_VARIABLE = "USE_SMDEBUG"
_hooks: list[Hook] = []


def enabled() -> bool:
    """Whether hooks are wanted at all: `USE_SMDEBUG=false` turns them off."""
    return flag(USE_VARIABLE, os.environ.get(USE_VARIABLE, "true"))


def get_hook(
    json_config_path: str | None = None, create_if_not_exists: bool = False
) -> Hook | None:
    """The hook of this process; None when there is none.

    Args:
        json_config_path: of a `debughookconfig.json`; None takes the job's own.
        create_if_not_exists: make one; without a configuration there still is none.

    Raises:
        UsageError: the configuration cannot be used.
    """
    from .hook import Hook

    if not enabled():
        return None
    if not _hooks and create_if_not_exists:
        return Hook.create_if_configured(json_config_path)
    return _hooks[0] if _hooks else None


def set_hook(custom_hook: Hook) -> None:
    """Make a hook the one of this process.

    Raises:
        SMDebugTypeError: it is no hook.
    """
    from .hook import Hook

    if not isinstance(custom_hook, Hook):
        raise SMDebugTypeError(f"{custom_hook!r} is no hook: give one of smdebug.pytorch.Hook")
    _hooks[:] = [custom_hook]


def del_hook() -> None:
    """Let this process have no hook; the one that there was goes on with what it watches."""
    _hooks.clear()
