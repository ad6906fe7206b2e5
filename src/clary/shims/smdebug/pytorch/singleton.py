"""The hook of a process: the one that was made last."""

from __future__ import annotations

from ..exceptions import SMDebugTypeError
from . import current
from .hook import Hook


def get_hook(
    json_config_path: str | None = None, create_if_not_exists: bool = False
) -> Hook | None:
    """The hook of this process; None when there is none.

    Args:
        json_config_path: of a `debughookconfig.json`; None takes the job's own.
        create_if_not_exists: make one; without a configuration there still is none.

    Raises:
        UsageError: the configuration cannot be used.
        FormatError: it is damaged.
    """
    if not current.enabled():
        return None
    held = current.held()
    if held is None and create_if_not_exists:
        return Hook.create_if_configured(json_config_path)
    return held if isinstance(held, Hook) else None


def set_hook(custom_hook: Hook) -> None:
    """Make a hook the one of this process.

    Raises:
        SMDebugTypeError: it is no hook.
    """
    if not isinstance(custom_hook, Hook):
        raise SMDebugTypeError(f"{custom_hook!r} is no hook: give one of smdebug.pytorch.Hook")
    current.hold(custom_hook)


def del_hook() -> None:
    """Let this process have no hook; the one that there was goes on with what it watches."""
    current.hold(None)
