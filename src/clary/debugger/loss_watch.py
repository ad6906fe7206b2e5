"""A hook's losses: those that are found, those that it is told of, and how they are kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn
from torch.utils.hooks import RemovableHandle

from clary.debugger import losses
from clary.debugger.collection import LOSSES
from clary.debugger.guarding import Guarded
from clary.debugger.recording import Recording
from clary.debugger.watched import tensors_in


class LossWatch:
    """Owned by a hook, used on the thread that trains.

    Args:
        find: whether losses are found that nobody registers.
        guard: put around everything that torch calls.
        current: gives what is recorded at the step that goes on.
    """

    def __init__(
        self,
        guard: Callable[[Callable[..., None]], Guarded],
        current: Callable[[], Recording | None],
        *,
        find: bool,
    ) -> None:
        self._guard = guard
        self._current = current
        self._find = find
        self._listener: losses.Listener | None = None
        self._handles: list[RemovableHandle] = []

    def listen(self) -> None:
        """Find losses from now on; a second time does nothing."""
        if self._find and self._listener is None:
            self._listener = self._guard(self.seen)
            losses.listen(self._listener)

    def watch(self, module: nn.Module) -> None:
        """Take what a module gives as a loss."""
        self.listen()
        if self._find and isinstance(module, nn.modules.loss._Loss):
            return  # found by itself

        def begins(module: nn.Module, inputs: tuple[Any, ...]) -> None:
            losses.enter()

        def called(module: nn.Module, inputs: tuple[Any, ...], outputs: Any) -> None:
            losses.leave()
            self.seen(type(module).__name__, outputs, inputs)

        self._handles += [
            module.register_forward_pre_hook(self._guard(begins)),
            module.register_forward_hook(self._guard(called), always_call=True),
        ]

    def seen(self, name: str, value: Any, inputs: tuple[Any, ...] = ()) -> None:
        """Keep a loss, and what it was computed from, where they are due."""
        recording = self._current()
        if recording is None:
            return
        for tensor in tensors_in(value):
            if recording.has_told(name, tensor):
                continue
            told = recording.indices.output_name(name)
            if recording.selection.reductions(told, (LOSSES,)) is not None:
                recording.belongs(told, LOSSES)
                recording.loss(told, tensor)
        for tensor in tensors_in(inputs):
            told = recording.indices.input_name(name)
            wanted = recording.selection.reductions(told)
            if wanted is not None:
                recording.tensor(told, tensor, wanted)

    def let_go(self) -> None:
        """Find and take nothing more."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
        if self._listener is not None:
            losses.stop_listening(self._listener)
            self._listener = None
