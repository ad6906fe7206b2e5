"""A collection: tensors that are captured alike, chosen by their names.

| collection  | what belongs to it |
|-------------|--------------------|
| losses      | outputs of losses; always captured |
| weights     | parameters named `…weight`, before the step's update |
| biases      | parameters named `…bias` |
| gradients   | of each backward pass, before accumulation and clipping |
| inputs, outputs | of every module |
| activations | outputs of activation functions, and inputs of those that saturate |
| input_image | the first input of the watched module |
| all         | everything |
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from clary.debugger.parameters import expressions
from clary.debugger.reductions import Reductions
from clary.debugger.schedule import Schedule
from clary.errors import UsageError
from clary.formats.tensor_log.entries import CollectionRecord

LOSSES = "losses"
ACTIVATIONS = "activations"
INPUT_IMAGE = "input_image"
SCALARS = ("metrics", "sm_metrics", "scalars")
# SageMaker's expressions for PyTorch; those of no expression take tensors by their modules or by
# what a script records.
BUILT_IN: Mapping[str, tuple[str, ...]] = {
    "all": (".*",),
    "default": (),
    "weights": (r"^(?!gradient).*weight",),
    "biases": (r"^(?!gradient).*bias",),
    "gradients": (r"^gradient",),
    LOSSES: (r"[Ll]oss_(?!input).*output",),
    "inputs": (r"_input_\d+$",),
    "outputs": (r"_output_\d+$",),
    ACTIVATIONS: (),
    INPUT_IMAGE: (),
    "metrics": (),
    "sm_metrics": (),
    "scalars": (),
    "layers": (),
    "optimizer_variables": (),
    "labels": (r"labels$",),
    "predictions": (r"predictions$",),
}


@dataclass(frozen=True)
class Collection:
    """Tensors that are captured alike.

    Args:
        name: one of the built-in ones, or a name of your own.
        include_regex: a tensor belongs to it when one of these is found in its name; for a
            built-in name they add to its own.
        tensors: names that belong to it besides.
        schedule: when it is captured; None is the hook's own.
        reductions: what is kept; None is the hook's own.
        parameters: as SageMaker's API gave them, to be shown again.

    Raises:
        UsageError: it could hold nothing, or an expression cannot be compiled.
    """

    name: str
    include_regex: tuple[str, ...] = ()
    tensors: tuple[str, ...] = ()
    schedule: Schedule | None = None
    reductions: Reductions | None = None
    parameters: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        given = tuple(self.include_regex)
        for expression in given:
            expressions(f"include_regex of {self.name}", expression)
        object.__setattr__(self, "include_regex", given)
        if self.name not in BUILT_IN and not given and not self.tensors:
            raise UsageError(
                f"the collection {self.name!r} has no include_regex: give one, or name a built-in "
                f"collection ({', '.join(BUILT_IN)})"
            )

    @property
    def all_expressions(self) -> tuple[str, ...]:
        """Its own expressions and those of its name."""
        return (*BUILT_IN.get(self.name, ()), *self.include_regex)

    @cached_property
    def _pattern(self) -> re.Pattern[str] | None:
        found = self.all_expressions
        return re.compile("|".join(f"(?:{one})" for one in found)) if found else None

    def holds(self, name: str) -> bool:
        """Whether a tensor belongs to it by its name."""
        if name in self.tensors:
            return True
        return self._pattern is not None and self._pattern.search(name) is not None

    def record(self, tensors: tuple[str, ...] = ()) -> CollectionRecord:
        """For the tensor log, with the names that were found to belong to it."""
        return CollectionRecord(
            self.name,
            self.all_expressions,
            tuple(dict.fromkeys((*self.tensors, *tensors))),
            dict(self.parameters),
        )


def records(
    collections: Sequence[Collection], members: Mapping[str, set[str]]
) -> list[CollectionRecord]:
    """For the tensor log.

    Args:
        collections: that are configured.
        members: tensors that were found to belong to a collection whatever their names.
    """
    names = {collection.name for collection in collections}
    return [
        *(one.record(tuple(sorted(members.get(one.name, ())))) for one in collections),
        # Named by the script alone, where it keeps something.
        *(
            CollectionRecord(name, (), tuple(sorted(tensors)))
            for name, tensors in members.items()
            if name not in names
        ),
    ]
