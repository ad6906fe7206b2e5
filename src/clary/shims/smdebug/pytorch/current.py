"""The hook of this process, if there is one, and whether hooks are wanted at all."""

from __future__ import annotations

import os

from clary.debugger.parameters import flag

USE_VARIABLE = "USE_SMDEBUG"
_held: list[object] = []


def enabled() -> bool:
    """Whether hooks are wanted: `USE_SMDEBUG=false` turns them off."""
    return flag(USE_VARIABLE, os.environ.get(USE_VARIABLE, "true"))


def held() -> object | None:
    """The hook that was made last, or set; None when there is none."""
    return _held[0] if _held else None


def hold(hook: object | None) -> None:
    """Let this be the hook of this process; None for none."""
    _held[:] = [] if hook is None else [hook]
