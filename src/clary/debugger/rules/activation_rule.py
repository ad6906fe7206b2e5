"""What rules on activation layers share: they count the units of a layer that have no use."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from clary.debugger.rules.activation_units import (
    Fractions,
    recent_fractions,
    unit_fractions,
    with_units,
)
from clary.debugger.rules.scanning import Offence, first_offence
from clary.formats import rule_parameters
from clary.formats.findings import Finding
from clary.formats.tensor_log.entries import UnitKind
from clary.rules.rule import Rule
from clary.rules.source import Tensor
from clary.rules.window import Window


class ActivationRule(Rule):
    """More than `threshold_layer` % of a layer's units are of no use.

    A unit is of use whose values are inside of the activation's bounds in at least
    `threshold_inactivity` % of the cases: of a batch with `published_defaults`, of three batches
    together without. With the regular expression left as published, every layer counts of which
    the hook has counted the same for each unit.
    """

    parameters: rule_parameters.DeadRelu | rule_parameters.SaturatedActivation
    kind: ClassVar[UnitKind]
    """What the hook counts."""
    judged: ClassVar[str]
    """Words for the tensors: "output of a ReLU layer"."""
    published_regex: ClassVar[str]

    def _named(self, window: Window) -> Sequence[str]:
        """The tensors that the parameters name."""
        return window.names(self.parameters.tensor_regex)

    def _counted(self) -> UnitKind | None:
        """What the hook counts the same way; None where the parameters count otherwise."""
        return self.kind

    @abstractmethod
    def _inside(self, name: str, tensor: Tensor) -> npt.NDArray[np.bool_]:
        """Which values are inside of the activation's bounds."""

    @abstractmethod
    def _tell(self, window: Window, found: Offence) -> Finding:
        """The issue of a layer."""

    def tensors(self, window: Window) -> Sequence[str]:
        """Those of the activation layers."""
        names = set(self._named(window))
        if "tensor_regex" not in self.parameters.model_fields_set:
            names.update(with_units(window, self.kind))
        return sorted(names)

    def lacks(self, window: Window) -> Finding | None:
        """Such tensors, whole or with their units counted."""
        if any(
            self._activity(window, name, window.captured(name)[-1]) is not None
            for name in self.tensors(window)
        ):
            return None
        return self.note(
            window,
            f"no {self.judged} was saved with its units (looked for "
            f"{', '.join(self.parameters.tensor_regex)})",
            remedy=f"add a collection with include_regex '{self.published_regex}' (or the names "
            "of your activation layers) to DebugHookConfig, without reductions",
        )

    def _activity(self, window: Window, name: str, step: int) -> Fractions | None:
        return unit_fractions(
            window, name, step, lambda tensor: self._inside(name, tensor), self._counted()
        )

    def judge(self, window: Window) -> Sequence[Finding]:
        """Look at each new tensor."""
        chosen = self.parameters

        def measure(name: str, step: int) -> tuple[float, float] | None:
            activity = recent_fractions(
                window,
                name,
                step,
                lambda name, step: self._activity(window, name, step),
                published=chosen.published_defaults,
            )
            if activity is None or not activity.size:
                return None
            idle = 100.0 * float(np.mean(100.0 * activity < chosen.threshold_inactivity))
            return (idle, chosen.threshold_layer) if idle > chosen.threshold_layer else None

        found = first_offence(window, self.tensors(window), measure, lambda one: -one.value)
        return [] if found is None else [self._tell(window, found)]
