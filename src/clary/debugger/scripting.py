"""`torch.jit.script` of watched modules: it compiles what hangs in a module, which ours cannot be.

While a hook watches, it is called through a wrapper that takes our callbacks out of the module, and
puts them back.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast

import torch
from torch import nn

from clary.debugger.guarding import Guarded

_lock = threading.RLock()
_watching: list[object] = []
_original: Callable[..., Any] = torch.jit.script


def allow(owner: object) -> None:
    """Let watched modules be scripted from now on; a second time does nothing."""
    with _lock:
        if owner not in _watching:
            _watching.append(owner)
        if torch.jit.script is _original:
            torch.jit.script = _script


def disallow(owner: object) -> None:
    """The owner watches nothing more; a second time does nothing."""
    with _lock:
        if owner in _watching:
            _watching.remove(owner)
        if not _watching and torch.jit.script is _script:
            torch.jit.script = _original


@functools.wraps(_original)
def _script(obj: Any, *args: Any, _frames_up: int = 0, **kwargs: Any) -> Any:
    with _without_callbacks(obj):
        # It looks names up in the frame of who calls it.
        return _original(obj, *args, _frames_up=_frames_up + 1, **kwargs)


@contextmanager
def _without_callbacks(obj: Any) -> Iterator[None]:
    taken: list[tuple[dict[int, Any], dict[int, Any]]] = []
    for module in obj.modules() if isinstance(obj, nn.Module) else ():
        for hooks in cast(
            tuple[dict[int, Any], ...], (module._forward_hooks, module._forward_pre_hooks)
        ):
            if any(isinstance(hook, Guarded) for hook in hooks.values()):
                taken.append((hooks, dict(hooks)))
                for number, hook in tuple(hooks.items()):
                    if isinstance(hook, Guarded):
                        del hooks[number]
    try:
        yield
    finally:
        for hooks, before in taken:
            hooks.clear()
            hooks.update(before)
