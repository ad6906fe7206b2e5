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
from clary.debugger.schedule import Schedule

from ..core.logger import get_logger
from .attached import Attached

# Of what waits for a step that may never begin, as where no module is registered.
_LIMIT_BYTES = 256 << 20


class CustomTensors:
    """Owned by a hook, and used on its thread."""

    def __init__(self, watcher: Watcher) -> None:
        self._watcher = watcher
        self._waiting: dict[str, tuple[torch.Tensor, Sequence[str]]] = {}
        self._schedules: list[Schedule] | None = None
        self._has_said = False

    @property
    def waiting_bytes(self) -> int:
        """What is kept until its step is known."""
        return sum(value.nbytes for value, _ in self._waiting.values())

    def add(self, name: str, value: Any, collections: Sequence[str]) -> None:
        """Keep a copy until its step is known, if that may be one that is saved."""
        if not self._may_be_saved():
            return
        try:
            held = torch.as_tensor(value).detach().clone()
        except (TypeError, ValueError, RuntimeError) as error:
            get_logger().warning(
                "tensor %r is not saved, it is no array of numbers: %s", name, error
            )
            return
        self._waiting[name] = held, collections
        while len(self._waiting) > 1 and self.waiting_bytes > _LIMIT_BYTES:
            self._waiting.pop(next(iter(self._waiting)))
            if not self._has_said:
                self._has_said = True
                get_logger().warning(
                    "more than %d MB of tensors wait for a step, and the oldest are not saved: "
                    "register the module that makes the steps",
                    _LIMIT_BYTES >> 20,
                )

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

    def _may_be_saved(self) -> bool:
        """Whether the step that goes on, or the next one of this mode, is saved."""
        watcher = self._watcher
        if not watcher.watching:
            return False
        step = watcher.step
        if step is None:  # until the first one, scripts change what is saved
            return True
        if self._schedules is None:
            configuration = watcher.configuration
            self._schedules = [configuration.schedule_of(one) for one in configuration.collections]
        next_one = watcher.mode, watcher.steps[watcher.mode] + 1
        return any(
            schedule.due(*one)
            for one in ((step.mode, step.mode_step), next_one)
            for schedule in self._schedules
        )
