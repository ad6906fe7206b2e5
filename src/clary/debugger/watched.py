"""A module that is watched: its names, and what is hung into it for the steps that are captured.

Between captures nothing hangs in the module but one hook before its forward pass.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from torch import Tensor, nn
from torch.autograd import Variable
from torch.nn.parallel import DataParallel, DistributedDataParallel
from torch.utils.hooks import RemovableHandle

from clary.debugger.background import say
from clary.debugger.collection import ACTIVATIONS, INPUT_IMAGE
from clary.debugger.naming import gradient_name, parameter_name
from clary.debugger.recording import Recording, holds_values
from clary.debugger.reductions import Reductions
from clary.debugger.transfer import on_cpu
from clary.debugger.units import ACTIVATIONS as ACTIVATION_MODULES
from clary.debugger.units import kind_of_input, kind_of_output
from clary.formats.tensor_log.entries import UnitKind

# SageMaker asks for the spread of early gradients alone.
CAPTURES_WITH_HISTOGRAMS = 10

# Makes a callback that a failure of ours does not get out of.
Guard = Callable[[Callable[..., None]], Callable[..., None]]


class WatchedModule:
    """Used on the thread that trains.

    Args:
        module: as it is called: it may be compiled, or wrapped for several processes.
        guard: put around everything that torch calls.
        note: told what cannot be seen.
        by_hand: whether `capture_gradients` is called when gradients are there.
        number: of the module among those of its class; 0 bears the class's name alone.
    """

    def __init__(
        self,
        module: nn.Module,
        guard: Guard,
        note: Callable[[str], None],
        *,
        by_hand: bool = False,
        number: int = 0,
    ) -> None:
        self.called = module
        self.module = bare(module)
        self.compiled = is_compiled(module)
        self.root = type(self.module).__name__ + (f"_{number}" if number else "")
        self._guard = guard
        self._note = note
        self._has_noted = False
        self._by_hand = by_hand
        self._handles: list[RemovableHandle] = []
        self._captures_of_gradients = 0
        if isinstance(module, DataParallel):
            say("outputs of modules inside DataParallel are not seen: use DistributedDataParallel")

    def capture(self, recording: Recording, inputs: tuple[Any, ...] | None = None) -> None:
        """Capture the weights now, and all else as it comes.

        It ends with `let_go`, before the next forward pass.

        Args:
            recording: of the step.
            inputs: of the forward pass, where the module itself is in it already.
        """
        selection = recording.selection
        if selection.parameters:
            self._capture_parameters(recording)
        if selection.modules or selection.activations:
            # The compiler would break its graph at what hangs within, and never mend it again.
            if self.compiled:
                self._note_compiled()
            else:
                self._hang_into_modules(recording)
        if selection.input_image:
            self._see_input(recording, inputs)

    def let_go(self) -> None:
        """Take out of the module what `capture` hung into it."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()

    def _note_compiled(self) -> None:
        if not self._has_noted:
            self._has_noted = True
            self._note(
                f"inputs, outputs and activations within {self.root} are not seen, because it is "
                "compiled: train without torch.compile to see them"
            )

    def capture_gradients(self, recording: Recording) -> None:
        """Capture what `.grad` holds, where that is done by hand."""
        if not self._by_hand or not recording.selection.parameters:
            return
        for name, parameter, wanted in self._gradients(recording):
            if parameter.grad is not None:
                histogram = self._captures_of_gradients <= CAPTURES_WITH_HISTOGRAMS
                recording.tensor(name, parameter.grad, wanted, histogram=histogram)
        recording.send()

    def _capture_parameters(self, recording: Recording) -> None:
        selection = recording.selection
        for path, parameter in self.module.named_parameters():
            name = parameter_name(self.root, path)
            wanted = selection.reductions(name)
            if wanted is not None:
                recording.tensor(name, parameter, wanted, update=True)
        recording.send()
        gradients = self._gradients(recording)
        self._captures_of_gradients += bool(gradients)
        if not self._by_hand:
            for gradient in gradients:
                self._hang_into_gradient(recording, *gradient)

    def _gradients(self, recording: Recording) -> list[tuple[str, nn.Parameter, Reductions]]:
        """Those that are captured: their names, their parameters, and what is kept."""
        found = []
        for path, parameter in self.module.named_parameters():
            name = gradient_name(parameter_name(self.root, path))
            wanted = recording.selection.reductions(name)
            learns = parameter.requires_grad and holds_values(parameter)
            if wanted is not None and learns:
                found.append((name, parameter, wanted))
        return found

    def _hang_into_gradient(
        self, recording: Recording, name: str, parameter: Tensor, wanted: Reductions
    ) -> None:
        histogram = self._captures_of_gradients <= CAPTURES_WITH_HISTOGRAMS

        # On a device all gradients of a pass are reduced together when it ends: what it gives
        # becomes `.grad`, and that is unscaled, clipped and zeroed in place.
        ended = self._guard(recording.send)

        def arrived(gradient: Tensor) -> None:
            if recording.holds(name):
                return  # of a backward pass before, through the same forward pass
            recording.tensor(name, gradient, wanted, histogram=histogram)
            if not on_cpu(gradient):
                Variable._execution_engine.queue_callback(ended)

        handle = parameter.register_hook(  # type: ignore[no-untyped-call]
            self._guard(arrived)
        )
        self._handles.append(handle)

    def _see_input(self, recording: Recording, inputs: tuple[Any, ...] | None) -> None:
        name = f"{self.root}_input_0"
        seen = recording.selection.modules and not self.compiled
        if seen and recording.selection.reductions(name) is not None:
            return  # seen with the inputs of all other modules

        def begins(module: nn.Module, inputs: tuple[Any, ...]) -> None:
            first = next(iter(tensors_in(inputs)), None)
            if first is not None:
                role = _Role(module, "channel_means", (INPUT_IMAGE,))
                _see(recording, name, first, role)

        if inputs is not None:
            begins(self.module, inputs)
        else:
            called = self.called if self.compiled else self.module
            self._handles.append(called.register_forward_pre_hook(self._guard(begins)))

    def _hang_into_modules(self, recording: Recording) -> None:
        selection = recording.selection
        for path, module in self.module.named_modules():
            name = path or self.root
            activation = selection.activations and isinstance(module, ACTIVATION_MODULES)
            if not (selection.modules or activation):
                continue
            begins, ends = self._forward_hooks(recording, module, name, activation=activation)
            # What a module changes in place is to be seen before.
            if getattr(module, "inplace", False) and module is not self.module:
                self._handles.append(module.register_forward_pre_hook(self._guard(begins)))
            else:
                ends = _both(begins, ends)
            self._handles.append(module.register_forward_hook(self._guard(ends)))

    def _forward_hooks(
        self, recording: Recording, watched: nn.Module, name: str, *, activation: bool
    ) -> tuple[Callable[..., None], Callable[..., None]]:
        """What sees the inputs of a module, and what sees its outputs."""

        def begins(module: nn.Module, inputs: tuple[Any, ...]) -> None:
            if module is not watched:
                return  # a copy, or a replica
            kind = "channel_means" if module is self.module else kind_of_input(module)
            among = (ACTIVATIONS,) if activation and kind_of_input(module) is not None else ()
            for tensor in tensors_in(inputs):
                told = recording.indices.input_name(name)
                _see(recording, told, tensor, _Role(module, kind, among))

        def ends(module: nn.Module, inputs: tuple[Any, ...], outputs: Any) -> None:
            if module is not watched:
                return
            among = (ACTIVATIONS,) if activation else ()
            for tensor in tensors_in(outputs):
                told = recording.indices.output_name(name)
                _see(recording, told, tensor, _Role(module, kind_of_output(module), among))

        return begins, ends


def _both(begins: Callable[..., None], ends: Callable[..., None]) -> Callable[..., None]:
    def called(module: nn.Module, inputs: tuple[Any, ...], outputs: Any) -> None:
        begins(module, inputs)
        ends(module, inputs, outputs)

    return called


class _Role(NamedTuple):
    """What a tensor is to a module, and the collections it belongs to whatever its name."""

    module: nn.Module
    kind: UnitKind | None
    among: tuple[str, ...]


def _see(recording: Recording, name: str, tensor: Tensor, role: _Role) -> None:
    wanted = recording.selection.reductions(name, role.among)
    if wanted is None:
        return
    for collection in role.among:
        recording.belongs(name, collection)
    if role.kind is not None:
        recording.units(name, role.kind, tensor, role.module)
    recording.tensor(name, tensor, wanted)
    # The next layer may change it in place.
    recording.send()


def is_compiled(module: nn.Module) -> bool:
    """Whether `torch.compile` made it, or what it wraps."""
    while isinstance(module, (DistributedDataParallel, DataParallel)):
        module = module.module
    # What `compile()` makes in place is kept where a call finds it.
    return hasattr(module, "_orig_mod") or module._compiled_call_impl is not None


def bare(module: nn.Module) -> nn.Module:
    """The module that a script wrote, without what compiles or parallelizes it."""
    while True:
        if isinstance(module, (DistributedDataParallel, DataParallel)):
            module = module.module
        elif isinstance(original := getattr(module, "_orig_mod", None), nn.Module):
            module = original
        else:
            return module


def tensors_in(value: Any) -> Sequence[Tensor]:
    """The tensors of an argument or a result, in their order, through lists, tuples and dicts."""
    if isinstance(value, Tensor):
        return (value,)
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        return [tensor for part in value for tensor in tensors_in(part)]
    return ()
