"""Tensors that a script saves by itself: they are kept with the step that is going on.

One that is saved before a forward pass belongs to the step that begins with it; one that is saved
during or after it, to the step whose loss or backward pass comes next.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from clary.debugger.hook import Hook as Watcher

from ..core.logger import get_logger
from .attached import Attached


class CustomTensors:
    """Owned by a hook, and used on its thread."""

    def __init__(self, watcher: Watcher) -> None:
        self._watcher = watcher
        self._waiting: dict[str, tuple[torch.Tensor, Sequence[str]]] = {}

    def add(self, name: str, value: Any, collections: Sequence[str]) -> None:
        """Keep a copy until its step is known."""
        try:
            held = torch.as_tensor(value).detach().clone()
        except (TypeError, ValueError, RuntimeError) as error:
            get_logger().warning(
                "tensor %r is not saved, it is no array of numbers: %s", name, error
            )
            return
        self._waiting[name] = held, collections

    def follow(self, module: nn.Module) -> None:
        """Keep what waits when a module has been called, and when gradients reach it."""
        module.register_forward_hook(Attached(self.flush))
        trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
        if trained:
            trained[-1].register_hook(Attached(self.flush))  # type: ignore[no-untyped-call]

    def follow_loss(self, module: nn.Module) -> None:
        """Keep what waits when a loss has been computed."""
        module.register_forward_hook(Attached(self.flush))

    def flush(self) -> None:
        """Keep what waits with the step that is going on, if that one is saved."""
        if not self._waiting:
            return
        waiting, self._waiting = self._waiting, {}
        for name, (value, collections) in waiting.items():
            self._watcher.record(name, value, collections, whole=True)
