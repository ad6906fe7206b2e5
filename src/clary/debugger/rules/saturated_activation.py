"""Tanh and sigmoid layers most of whose units are stuck at their limits."""

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

_LIMITS = (
    "threshold_tanh_min",
    "threshold_tanh_max",
    "threshold_sigmoid_min",
    "threshold_sigmoid_max",
)


class SaturatedActivation(Rule):
    """More than `threshold_layer` % of a layer's units are saturated.

    A unit is saturated whose input is between the activation's limits in fewer than
    `threshold_inactivity` % of the cases: of a batch with `published_defaults`, of three batches
    together without. With the regular expression left as published, every layer counts of which
    the hook has kept how often its units are between the limits.
    """

    parameters_model = rule_parameters.SaturatedActivation
    parameters: rule_parameters.SaturatedActivation

    def tensors(self, window: Window) -> Sequence[str]:
        """Inputs of tanh and sigmoid layers."""
        chosen = self.parameters
        names = set(window.names(chosen.tensor_regex, chosen.collection_names or ()))
        if "tensor_regex" not in chosen.model_fields_set:
            names.update(with_units(window, "active"))
        return sorted(names)

    def lacks(self, window: Window) -> Finding | None:
        """Inputs of tanh or sigmoid layers, as whole tensors or with their units counted."""
        if any(
            self._activity(window, name, window.captured(name)[-1]) is not None
            for name in self.tensors(window)
        ):
            return None
        return self.note(
            window,
            "no input of a tanh or sigmoid layer was saved with its units (looked for "
            f"{', '.join(self.parameters.tensor_regex)})",
            remedy="add a collection with include_regex '.*tanh_input|.*sigmoid_input' (or the "
            "names of your activation layers) to DebugHookConfig, without reductions",
        )

    def _limits(self, name: str) -> tuple[float, float]:
        chosen = self.parameters
        if "sigmoid" in name.lower():
            return chosen.threshold_sigmoid_min, chosen.threshold_sigmoid_max
        return chosen.threshold_tanh_min, chosen.threshold_tanh_max

    def _activity(self, window: Window, name: str, step: int) -> Fractions | None:
        low, high = self._limits(name)
        fields = type(self.parameters).model_fields
        as_published = all(
            getattr(self.parameters, limit) == fields[limit].default for limit in _LIMITS
        )
        return unit_fractions(
            window,
            name,
            step,
            lambda tensor: (tensor > low) & (tensor < high),
            "active" if as_published else None,
        )

    def judge(self, window: Window) -> Sequence[Finding]:
        """Look at each new input."""
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
            stuck = 100.0 * float(np.mean(100.0 * activity < chosen.threshold_inactivity))
            return (stuck, chosen.threshold_layer) if stuck > chosen.threshold_layer else None

        found = first_offence(window, self.tensors(window), measure, lambda one: -one.value)
        if found is None:
            return []
        low, high = self._limits(found.name)
        return [
            self.issue(
                window,
                found.step,
                f"{found.value:.0f} % of the units of {found.name} are between {low:g} and "
                f"{high:g} in under {chosen.threshold_inactivity:g} % of the cases, more than "
                f"{found.bound:g} % of a layer may{found.and_others()}",
                tensor=found.name,
                value=found.value,
                bound=found.bound,
                cause="the weights before the activation are too large, or its inputs are not "
                "normalised, so that its gradient is 0",
                remedy="normalise the inputs, use Xavier initialisation, put BatchNorm before the "
                "activation, lower the learning rate, or use ReLU",
            )
        ]
