"""A module that is watched: its names, and what is hung into it for the steps that are captured.

Between captures nothing hangs in the module but one hook before its forward pass.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from torch import Tensor, nn
from torch.nn.parallel import DataParallel, DistributedDataParallel
from torch.utils.hooks import RemovableHandle

from clary.debugger.collection import ACTIVATIONS, INPUT_IMAGE
from clary.debugger.naming import gradient_name, parameter_name
from clary.debugger.recording import Recording
from clary.debugger.reductions import Reductions
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
    """

    def __init__(self, module: nn.Module, guard: Guard) -> None:
        self.called = module
        self.module = bare(module)
        self.root = type(self.module).__name__
        self.compiled = hasattr(module, "_orig_mod")
        self._guard = guard
        self._handles: list[RemovableHandle] = []
        self._captures_of_gradients = 0

    def capture(self, recording: Recording) -> None:
        """Capture the weights now, and all else as it comes.

        It ends with `let_go`, before the next forward pass.
        """
        selection = recording.selection
        if selection.parameters:
            self._capture_parameters(recording)
        if selection.modules or selection.activations:
            self._hang_into_modules(recording)

    def let_go(self) -> None:
        """Take out of the module what `capture` hung into it."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()

    def input(self, recording: Recording, inputs: tuple[Any, ...]) -> None:
        """See the first tensor that the module is given, where pictures are looked at."""
        selection, name = recording.selection, f"{self.root}_input_0"
        if not selection.input_image:
            return
        if selection.modules and selection.reductions(name) is not None:
            return  # seen with the inputs of all other modules
        first = next(iter(tensors_in(inputs)), None)
        if first is not None:
            role = _Role(self.module, "channel_means", (INPUT_IMAGE,))
            _see(recording, name, first, role)

    def _capture_parameters(self, recording: Recording) -> None:
        selection = recording.selection
        any_gradient = False
        for path, parameter in self.module.named_parameters():
            name = parameter_name(self.root, path)
            wanted = selection.reductions(name)
            if wanted is not None:
                recording.tensor(name, parameter, wanted, update=True)
            wanted = selection.reductions(gradient_name(name))
            if wanted is not None and parameter.requires_grad:
                any_gradient = True
                self._hang_into_gradient(recording, gradient_name(name), parameter, wanted)
        recording.send()
        self._captures_of_gradients += any_gradient

    def _hang_into_gradient(
        self, recording: Recording, name: str, parameter: Tensor, wanted: Reductions
    ) -> None:
        histogram = self._captures_of_gradients < CAPTURES_WITH_HISTOGRAMS

        def arrived(gradient: Tensor) -> None:
            recording.tensor(name, gradient, wanted, histogram=histogram)

        self._handles.append(parameter.register_hook(self._guard(arrived)))

    def _hang_into_modules(self, recording: Recording) -> None:
        selection = recording.selection
        for path, module in self.module.named_modules():
            name = path or self.root
            activation = selection.activations and isinstance(module, ACTIVATION_MODULES)
            if not (selection.modules or activation):
                continue
            hook = self._forward_hook(recording, name, activation=activation)
            self._handles.append(module.register_forward_hook(self._guard(hook)))

    def _forward_hook(
        self, recording: Recording, name: str, *, activation: bool
    ) -> Callable[[nn.Module, tuple[Any, ...], Any], None]:
        def called(module: nn.Module, inputs: tuple[Any, ...], outputs: Any) -> None:
            if getattr(module, "_is_replica", False):
                return
            kind_in, kind_out = kind_of_input(module), kind_of_output(module)
            if module is self.module:
                kind_in = "channel_means"
            for tensor in tensors_in(inputs):
                among = (ACTIVATIONS,) if activation and kind_in is not None else ()
                told = recording.indices.input_name(name)
                _see(recording, told, tensor, _Role(module, kind_in, among))
            for tensor in tensors_in(outputs):
                among = (ACTIVATIONS,) if activation else ()
                told = recording.indices.output_name(name)
                _see(recording, told, tensor, _Role(module, kind_out, among))

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
