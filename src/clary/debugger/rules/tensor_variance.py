"""Tensors whose variance is out of bounds."""

from __future__ import annotations

from collections.abc import Sequence

from clary.debugger.rules.labels import numbers_of_network
from clary.debugger.rules.scanning import first_offence
from clary.formats import rule_parameters
from clary.formats.findings import Finding
from clary.rules.rule import Rule
from clary.rules.window import Window


class TensorVariance(Rule):
    """A tensor's variance is over `max_threshold` or under `min_threshold`.

    Numbers by themselves, such as losses, have none and are judged with `published_defaults` alone.
    """

    parameters_model = rule_parameters.TensorVariance
    parameters: rule_parameters.TensorVariance

    def tensors(self, window: Window) -> Sequence[str]:
        """Those that the parameters name; `labels.numbers_of_network` where they name none."""
        return numbers_of_network(window, self.parameters)

    def lacks(self, window: Window) -> Finding | None:
        """A tensor with its variance."""
        for name in self.tensors(window):
            if self._variance(window, name, window.captured(name)[-1]) is not None:
                return None
        return self.note(
            window,
            "no tensor that this rule judges was saved with its variance",
            remedy="name the tensors in a collection of DebugHookConfig, with `variance` among "
            "its reductions or without reductions",
        )

    def _variance(self, window: Window, name: str, step: int) -> float | None:
        statistics = window.statistics(name, step)
        if statistics is None or (statistics.size == 1 and not self.parameters.published_defaults):
            return None
        return statistics.reduction("variance")

    def judge(self, window: Window) -> Sequence[Finding]:
        """Look at each new tensor."""
        least, largest = self.parameters.min_threshold, self.parameters.max_threshold

        def measure(name: str, step: int) -> tuple[float, float] | None:
            variance = self._variance(window, name, step)
            if variance is None:
                return None
            if largest is not None and variance > largest:
                return variance, largest
            if least is not None and variance < least:
                return variance, least
            return None

        found = first_offence(window, self.tensors(window), measure, lambda one: -one.value)
        if found is None:
            return []
        large = found.value > found.bound
        return [
            self.issue(
                window,
                found.step,
                f"the variance of {found.name} is {found.value:.3g}, "
                f"{'over' if large else 'under'} {found.bound:.3g}{found.and_others()}",
                tensor=found.name,
                value=found.value,
                bound=found.bound,
                cause="values grow from layer to layer or from step to step"
                if large
                else "the values have become all alike: saturated or dead units, or a collapse",
                remedy="normalise the inputs and activations, and lower the learning rate"
                if large
                else "look at SaturatedActivation and DeadRelu, and at the initialisation",
            )
        ]
