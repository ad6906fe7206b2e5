"""Tensors that hold nothing but zeros."""

from __future__ import annotations

from collections.abc import Sequence

from clary.debugger.rules.labels import numbers_of_network
from clary.debugger.rules.learning import GRADIENT, is_parameter, learns
from clary.debugger.rules.scanning import first_offence
from clary.formats import rule_parameters
from clary.formats.findings import Finding
from clary.formats.tensor_log.entries import Statistics
from clary.rules.rule import Rule
from clary.rules.window import Window


class AllZero(Rule):
    """At least `threshold` % of a tensor's values are zero.

    Unless `published_defaults` is asked for, a parameter and its gradient may be zero at their
    first capture, as biases and the ends of residual branches begin, and a frozen one always.
    """

    parameters_model = rule_parameters.AllZero
    parameters: rule_parameters.AllZero

    def tensors(self, window: Window) -> Sequence[str]:
        """Those that the parameters name; `labels.numbers_of_network` where they name none."""
        return numbers_of_network(window, self.parameters)

    def judge(self, window: Window) -> Sequence[Finding]:
        """Look at each new tensor."""
        bound = self.parameters.threshold

        def measure(name: str, step: int) -> tuple[float, float] | None:
            percent = _percent_of_zeros(window.statistics(name, step))
            if percent is None or percent < bound or self._is_expected(window, name, step):
                return None
            return percent, bound

        found = first_offence(window, self.tensors(window), measure, lambda one: -one.value)
        if found is None:
            return []
        return [
            self.issue(
                window,
                found.step,
                f"{found.value:.4g} % of {found.name} is zero, where {bound:g} % is too many"
                f"{found.and_others()}",
                tensor=found.name,
                value=found.value,
                bound=bound,
                cause="a layer that is dead or was never initialised, a loss that does not depend "
                "on it, or an input that is empty",
                remedy="look at DeadRelu and at the initialisation of the layer, and check what "
                "the layer is given",
            )
        ]

    def _is_expected(self, window: Window, name: str, step: int) -> bool:
        if self.parameters.published_defaults:
            return False
        is_first = step == window.captured(name)[0]
        if not is_parameter(window, name):
            return is_first and name.startswith(GRADIENT)
        return is_first or learns(window, name) is not True


def _percent_of_zeros(statistics: Statistics | None) -> float | None:
    if statistics is None or not statistics.size:
        return None
    if statistics.zeros is not None:
        return 100.0 * statistics.zeros / statistics.size
    if statistics.min is not None and statistics.min == statistics.max == 0:
        return 100.0
    return None
