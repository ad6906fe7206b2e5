"""A hook's losses: those that are found, those that it is told of, and how they are kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn
from torch.utils.hooks import RemovableHandle

from clary.debugger import losses
from clary.debugger.background import say
from clary.debugger.collection import LOSSES
from clary.debugger.guarding import Guarded
from clary.debugger.recording import Recording
from clary.debugger.watched import tensors_in
from clary.formats.tensor_log.entries import Mode

# Of one name in one step. A step may last long: until the module that is watched is called again.
LOSSES_OF_A_NAME = 16
LEFT_OUT = (
    "losses are left out that belong to no step of the watched module, or are more than "
    f"{LOSSES_OF_A_NAME} of one name in a step: call that module to validate, and close hooks that "
    "are done with"
)


class _Steps:
    """Counts the steps of all hooks of this process."""

    begun = 0


class LossWatch:
    """Owned by a hook, used on the thread that trains.

    Args:
        find: whether losses are found that nobody registers.
        guard: put around everything that torch calls.
        current: gives what is recorded at the step that goes on.
        mode: gives what the watched module is doing now.
    """

    def __init__(
        self,
        guard: Callable[[Callable[..., None]], Guarded],
        current: Callable[[], Recording | None],
        mode: Callable[[], Mode],
        *,
        find: bool,
    ) -> None:
        self._guard = guard
        self._current = current
        self._mode = mode
        self._began = (0, Mode.GLOBAL)
        self._has_said = False
        self._entered = 0
        self._find = find
        self._listener: losses.Listener | None = None
        self._handles: list[RemovableHandle] = []

    def begin_step(self) -> None:
        """What is computed from now on belongs to another step."""
        _Steps.begun += 1
        self._began = _Steps.begun, self._mode()

    def listen(self) -> None:
        """Find losses from now on; a second time does nothing."""
        if self._find and self._listener is None:
            self._listener = self._guard(self._found)
            losses.listen(self._listener)

    def watch(self, module: nn.Module) -> None:
        """Take what a module gives as a loss."""
        self.listen()
        if self._find and isinstance(module, nn.modules.loss._Loss):
            return  # found by itself

        def begins(module: nn.Module, inputs: tuple[Any, ...]) -> None:
            losses.enter()
            self._entered += 1

        def called(module: nn.Module, inputs: tuple[Any, ...], outputs: Any) -> None:
            losses.leave()
            self._entered -= 1
            self.seen(type(module).__name__, outputs, inputs)

        self._handles += [
            module.register_forward_pre_hook(self._guard(begins)),
            module.register_forward_hook(self._guard(called), always_call=True),
        ]

    def _found(self, name: str, value: Any, inputs: tuple[Any, ...]) -> None:
        recording = self._current()
        if recording is None:
            return
        if self._belongs(recording, name, value):
            self.seen(name, value, inputs)
        else:
            self._leave_out()

    def _leave_out(self) -> None:
        if not self._has_said:
            self._has_said = True
            say(LEFT_OUT)

    def _belongs(self, recording: Recording, name: str, value: Any) -> bool:
        """Whether a loss may come of the forward pass that began the step.

        Others do when a script evaluates a copy, or the original of a compiled module, and when
        it has another hook.
        """
        number, mode = self._began
        others, told = _Steps.begun - number, recording.told(name)
        if others > 1 or (others and told) or mode != self._mode():
            return False
        learns = any(tensor.requires_grad for tensor in tensors_in(value))
        return not told or learns or not recording.learns

    def seen(self, name: str, value: Any, inputs: tuple[Any, ...] = ()) -> None:
        """Keep a loss, and what it was computed from, where they are due."""
        recording = self._current()
        if recording is None:
            return
        for tensor in tensors_in(value):
            if recording.told(name) >= LOSSES_OF_A_NAME:
                self._leave_out()
                continue
            if not recording.tell(name, tensor):
                continue
            told = recording.indices.output_name(name)
            wanted = recording.selection.reductions(told, (LOSSES,))
            if wanted is not None:
                recording.belongs(told, LOSSES)
                recording.loss(told, tensor, wanted)
        for tensor in tensors_in(inputs):
            told = recording.indices.input_name(name)
            wanted = recording.selection.reductions(told)
            if wanted is not None:
                recording.tensor(told, tensor, wanted)
                recording.send()

    def let_go(self) -> None:
        """Find and take nothing more."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
        while self._entered > 0:  # within a loss, whose end is not heard any more
            self._entered -= 1
            losses.leave()
        if self._listener is not None:
            losses.stop_listening(self._listener)
            self._listener = None
