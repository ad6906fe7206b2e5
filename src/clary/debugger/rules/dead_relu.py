"""ReLU layers most of whose units never fire."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from clary.debugger.rules.activation_units import (
    Fractions,
    recent_fractions,
    unit_fractions,
    with_units,
)
from clary.debugger.rules.scanning import first_offence
from clary.formats import rule_parameters
from clary.formats.findings import Finding
from clary.rules.rule import Rule
from clary.rules.window import Window


class DeadRelu(Rule):
    """More than `threshold_layer` % of a layer's units are dead.

    A unit is dead whose output is over 0 in fewer than `threshold_inactivity` % of the cases: of a
    batch with `published_defaults`, of three batches together without. With the regular expression
    left as published, every layer counts of which the hook has kept how often its units fire.
    """

    parameters_model = rule_parameters.DeadRelu
    parameters: rule_parameters.DeadRelu

    def tensors(self, window: Window) -> Sequence[str]:
        """Outputs of ReLU layers."""
        names = set(window.names(self.parameters.tensor_regex))
        if "tensor_regex" not in self.parameters.model_fields_set:
            names.update(with_units(window, "positive"))
        return sorted(names)

    def lacks(self, window: Window) -> Finding | None:
        """Outputs of ReLU layers, as whole tensors or with their units counted."""
        if any(
            self._activity(window, name, window.captured(name)[-1]) is not None
            for name in self.tensors(window)
        ):
            return None
        return self.note(
            window,
            f"no output of a ReLU layer was saved with its units (looked for "
            f"{', '.join(self.parameters.tensor_regex)})",
            remedy="add a collection with include_regex '.*relu_output' (or the names of your "
            "activation layers) to DebugHookConfig, without reductions",
        )

    def _activity(self, window: Window, name: str, step: int) -> Fractions | None:
        return unit_fractions(window, name, step, lambda tensor: tensor > 0, "positive")

    def judge(self, window: Window) -> Sequence[Finding]:
        """Look at each new output."""
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
            dead = 100.0 * float(np.mean(100.0 * activity < chosen.threshold_inactivity))
            return (dead, chosen.threshold_layer) if dead > chosen.threshold_layer else None

        found = first_offence(window, self.tensors(window), measure, lambda one: -one.value)
        if found is None:
            return []
        return [
            self.issue(
                window,
                found.step,
                f"{found.value:.0f} % of the units of {found.name} fire in under "
                f"{chosen.threshold_inactivity:g} % of the cases, more than "
                f"{found.bound:g} % of a layer may{found.and_others()}",
                tensor=found.name,
                value=found.value,
                bound=found.bound,
                cause="a step that was too large, or a large negative bias, has pushed the units "
                "to where their gradient is 0, and they will not come back by themselves",
                remedy="lower the learning rate or warm it up, normalise the inputs, put BatchNorm "
                "before the activation, or use LeakyReLU or GELU",
            )
        ]
