"""Tanh and sigmoid layers most of whose units are stuck at their limits."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from clary.debugger.rules.activation_rule import ActivationRule
from clary.debugger.rules.scanning import Offence
from clary.formats import rule_parameters
from clary.formats.findings import Finding
from clary.formats.tensor_log.entries import UnitKind
from clary.rules.source import Tensor
from clary.rules.window import Window

_LIMITS = (
    "threshold_tanh_min",
    "threshold_tanh_max",
    "threshold_sigmoid_min",
    "threshold_sigmoid_max",
)


class SaturatedActivation(ActivationRule):
    """More than `threshold_layer` % of a layer's units are saturated.

    A unit is saturated whose input is between the activation's limits in fewer than
    `threshold_inactivity` % of the cases; see `ActivationRule`.
    """

    parameters_model = rule_parameters.SaturatedActivation
    parameters: rule_parameters.SaturatedActivation
    kind = "active"
    judged = "input of a tanh or sigmoid layer"
    published_regex = ".*tanh_input|.*sigmoid_input"

    def _named(self, window: Window) -> Sequence[str]:
        chosen = self.parameters
        return window.names(chosen.tensor_regex, chosen.collection_names or ())

    def _counted(self) -> UnitKind | None:
        fields = type(self.parameters).model_fields
        as_published = all(
            getattr(self.parameters, limit) == fields[limit].default for limit in _LIMITS
        )
        return self.kind if as_published else None

    def _limits(self, name: str) -> tuple[float, float]:
        chosen = self.parameters
        if "sigmoid" in name.lower():
            return chosen.threshold_sigmoid_min, chosen.threshold_sigmoid_max
        return chosen.threshold_tanh_min, chosen.threshold_tanh_max

    def _inside(self, name: str, tensor: Tensor) -> npt.NDArray[np.bool_]:
        low, high = self._limits(name)
        return np.asarray((tensor > low) & (tensor < high))

    def _tell(self, window: Window, found: Offence) -> Finding:
        low, high = self._limits(found.name)
        return self.issue(
            window,
            found.step,
            f"{found.value:.0f} % of the units of {found.name} are between {low:g} and "
            f"{high:g} in under {self.parameters.threshold_inactivity:g} % of the cases, more than "
            f"{found.bound:g} % of a layer may{found.and_others()}",
            tensor=found.name,
            value=found.value,
            bound=found.bound,
            cause="the weights before the activation are too large, or its inputs are not "
            "normalised, so that its gradient is 0",
            remedy="normalise the inputs, use Xavier initialisation, put BatchNorm before the "
            "activation, lower the learning rate, or use ReLU",
        )
