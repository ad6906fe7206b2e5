"""Why a training goes wrong: a hook that watches it, its history, and rules that judge it.

    hook = Hook("tensors", collections=[Collection("gradients")], schedule=Schedule(interval=5))
    hook.watch(model)

torch is loaded with `Hook` alone: histories and rules do without.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from clary.debugger.collection import Collection
from clary.debugger.configuration import HookConfiguration
from clary.debugger.reductions import Reductions
from clary.debugger.schedule import Schedule, Window
from clary.formats.tensor_log.entries import Mode

if TYPE_CHECKING:
    from clary.debugger.hook import Hook

__all__ = [
    "Collection",
    "Hook",
    "HookConfiguration",
    "Mode",
    "Reductions",
    "Schedule",
    "Window",
]


def __getattr__(name: str) -> object:
    if name == "Hook":
        from clary.debugger.hook import Hook

        return Hook
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
