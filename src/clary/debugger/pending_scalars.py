"""Numbers that a script records, until they are written with the step that goes on."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from clary.debugger.naming import SCALAR_PREFIX
from clary.debugger.recording import Recording


class PendingScalars:
    """Owned by a hook, used on the thread that trains.

    Args:
        refuse: told the name of what is no number, and why.
    """

    def __init__(self, refuse: Callable[[str, Exception], None]) -> None:
        self._refuse = refuse
        self._values: dict[str, float | Tensor] = {}

    def __bool__(self) -> bool:
        return bool(self._values)

    def add(self, name: str, value: float | Tensor) -> None:
        """Take a number as `scalar/<name>`."""
        try:
            self._values[SCALAR_PREFIX + name] = _number(value)
        except (TypeError, ValueError, RuntimeError) as error:
            self._refuse(name, error)

    def give(self, recording: Recording) -> None:
        """Put all into a step, and hold none of them any more."""
        for name, value in self._values.items():
            if isinstance(value, Tensor):
                recording.loss(name, value)
            else:
                recording.scalar(name, value)
        self._values.clear()


def _number(value: float | Tensor) -> float | Tensor:
    """A float, or a tensor of one where asking for its value would wait for a device."""
    if not isinstance(value, Tensor) or value.device.type == "cpu":
        return float(value)
    if value.numel() != 1:
        raise ValueError(f"it has {value.numel()} elements: give one number")
    return value.detach().to(torch.float32).reshape(1).clone()
