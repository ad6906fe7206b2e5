"""What is captured at a step: the collections that are due, asked by a tensor's name."""

from __future__ import annotations

from collections.abc import Sequence

from clary.debugger.collection import (
    ACTIVATIONS,
    INPUT_IMAGE,
    LOSSES,
    SCALARS,
    Collection,
)
from clary.debugger.configuration import HookConfiguration
from clary.debugger.reductions import Reductions
from clary.formats.tensor_log.entries import Mode

# SageMaker's debugger takes these in training alone.
TRAINING_ONLY = {"gradients", "optimizer_variables"}
# What these hold is known before the forward pass begins, by the parameters' names alone.
_OF_PARAMETERS = {"weights", "biases", "gradients"}
_WITHOUT_MODULES = {*_OF_PARAMETERS, *SCALARS, LOSSES, "optimizer_variables"}


class Selection:
    """The collections that are due together. Asked on the thread that trains."""

    def __init__(self, due: Sequence[Collection], configuration: HookConfiguration) -> None:
        self._due = tuple(due)
        self._configuration = configuration
        self._found: dict[tuple[str, tuple[str, ...]], Reductions | None] = {}
        names = {collection.name for collection in due}
        self.losses = LOSSES in names or "all" in names
        self.parameters = any(_takes_parameters(collection) for collection in due)
        self.modules = any(_takes_modules(collection) for collection in due)
        self.activations = ACTIVATIONS in names
        self.input_image = INPUT_IMAGE in names
        self.looks_inside = self.modules or self.activations or self.input_image

    def reductions(self, name: str, among: tuple[str, ...] = ()) -> Reductions | None:
        """What is kept of a tensor; None when it is not captured.

        Args:
            name: the tensor's.
            among: collections that it belongs to whatever its name.
        """
        key = name, among
        if key not in self._found:
            self._found[key] = self._reductions(name, among)
        return self._found[key]

    def _reductions(self, name: str, among: tuple[str, ...]) -> Reductions | None:
        joined: Reductions | None = None
        for collection in self._due:
            if collection.name in among or collection.holds(name):
                wanted = self._configuration.reductions_of(collection)
                joined = wanted if joined is None else joined.joined(wanted)
        return joined


class Selections:
    """Finds the selection of each step; the same one for the same collections."""

    def __init__(self, configuration: HookConfiguration) -> None:
        self._configuration = configuration
        self._schedules = [
            (collection, configuration.schedule_of(collection))
            for collection in configuration.collections
        ]
        self._known: dict[tuple[int, ...], Selection] = {}
        self.nothing = Selection((), configuration)

    def at(self, mode: Mode, step: int) -> Selection | None:
        """What is captured at a mode's step; None when that is nothing."""
        training = mode not in {Mode.EVAL, Mode.PREDICT}
        due = [
            collection
            for collection, schedule in self._schedules
            if schedule.due(mode, step) and (training or collection.name not in TRAINING_ONLY)
        ]
        if not due:
            return None
        # By identity: a name may stand there several times.
        key = tuple(id(collection) for collection in due)
        if key not in self._known:
            self._known[key] = Selection(due, self._configuration)
        return self._known[key]


def _takes_modules(collection: Collection) -> bool:
    if collection.name in _WITHOUT_MODULES:
        return False
    # A module's tensors have numbers at their ends, which the expressions of these do not find.
    own = collection.name not in {"labels", "predictions"} and collection.all_expressions
    return bool(own or collection.include_regex or collection.tensors)


def _takes_parameters(collection: Collection) -> bool:
    if collection.name in {LOSSES, INPUT_IMAGE, ACTIVATIONS, *SCALARS} - {"scalars"}:
        return bool(collection.include_regex or collection.tensors)
    return bool(collection.all_expressions or collection.tensors)
