"""ReLU layers most of whose units never fire."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from clary.debugger.rules.activation_rule import ActivationRule
from clary.debugger.rules.scanning import Offence
from clary.formats import rule_parameters
from clary.formats.findings import Finding
from clary.rules.source import Tensor
from clary.rules.window import Window


class DeadRelu(ActivationRule):
    """More than `threshold_layer` % of a layer's units are dead.

    A unit is dead whose output is over 0 in fewer than `threshold_inactivity` % of the cases; see
    `ActivationRule`.
    """

    parameters_model = rule_parameters.DeadRelu
    parameters: rule_parameters.DeadRelu
    kind = "positive"
    judged = "output of a ReLU layer"
    published_regex = ".*relu_output"

    def _inside(self, name: str, tensor: Tensor) -> npt.NDArray[np.bool_]:
        return np.asarray(tensor > 0)

    def _tell(self, window: Window, found: Offence) -> Finding:
        return self.issue(
            window,
            found.step,
            f"{found.value:.0f} % of the units of {found.name} fire in under "
            f"{self.parameters.threshold_inactivity:g} % of the cases, more than "
            f"{found.bound:g} % of a layer may{found.and_others()}",
            tensor=found.name,
            value=found.value,
            bound=found.bound,
            cause="a step that was too large, or a large negative bias, has pushed the units "
            "to where their gradient is 0, and they will not come back by themselves",
            remedy="lower the learning rate or warm it up, normalise the inputs, put BatchNorm "
            "before the activation, or use LeakyReLU or GELU",
        )
