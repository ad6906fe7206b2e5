"""Tensors with NaN or infinity."""

from __future__ import annotations

from collections.abc import Sequence

from clary.debugger.rules.scanning import first_offence
from clary.formats import rule_parameters
from clary.formats.findings import Finding
from clary.rules.rule import Rule
from clary.rules.window import Window


class ExplodingTensor(Rule):
    """A tensor holds NaN or infinity; NaN alone counts with `only_nan`."""

    parameters_model = rule_parameters.ExplodingTensor
    parameters: rule_parameters.ExplodingTensor

    def tensors(self, window: Window) -> Sequence[str]:
        """Those that the parameters name; every one where they name none."""
        chosen = self.parameters
        return window.names(chosen.tensor_regex or (), chosen.collection_names or ())

    def judge(self, window: Window) -> Sequence[Finding]:
        """Look at each new tensor."""
        only_nan = self.parameters.only_nan

        def measure(name: str, step: int) -> tuple[float, float] | None:
            statistics = window.statistics(name, step)
            if statistics is None:
                return None
            count = (statistics.nans or 0) + (0 if only_nan else statistics.infs or 0)
            return (float(count), 0.0) if count else None

        found = first_offence(window, self.tensors(window), measure, lambda one: -one.value)
        if found is None:
            return []
        statistics = window.statistics(found.name, found.step)
        size = "?" if statistics is None else statistics.size
        what = "NaN" if only_nan else "NaN or infinite"
        verb = "is" if found.value == 1 else "are"
        return [
            self.issue(
                window,
                found.step,
                f"{found.value:.0f} of {size} values of {found.name} {verb} {what}, "
                f"where none may be{found.and_others()}",
                tensor=found.name,
                value=found.value,
                bound=0.0,
                cause="a learning rate that is too high, an input with NaN, a logarithm or "
                "division at 0, or an overflow of float16",
                remedy="divide the learning rate by 10, clip the gradient's norm, check the "
                "inputs for NaN, and train in bfloat16 or with a loss scale",
            )
        ]
