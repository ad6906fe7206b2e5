"""Tensors that stay as they are."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from itertools import combinations

import numpy as np

from clary.debugger.rules.comparing import as_numbers, close_statistics
from clary.debugger.rules.labels import numbers_of_network
from clary.debugger.rules.learning import (
    anything_changed,
    change,
    is_parameter,
    learns,
    training_captures,
)
from clary.debugger.rules.scanning import first_offence
from clary.formats import rule_parameters
from clary.formats.findings import Finding
from clary.rules.rule import Rule
from clary.rules.window import Window

# Of its norm; what WeightUpdateRatio takes for no update either.
_UNCHANGED = 1e-8


class UnchangedTensor(Rule):
    """The last `num_steps` values that were saved are all close, as `numpy.allclose` has it.

    Where only statistics were saved, they are compared, and of parameters the norm of the change
    with what the tolerances allow. Unless `published_defaults` is asked for, parameters that are
    frozen may stay, parameters are compared at training steps alone, and where no tolerance was
    given only a parameter whose change is under 1e-8 of its norm is unchanged: a large weight of a
    pretrained network may well learn by less than 1e-5 of itself.
    """

    parameters_model = rule_parameters.UnchangedTensor
    parameters: rule_parameters.UnchangedTensor

    def tensors(self, window: Window) -> Sequence[str]:
        """Those that the parameters name; `labels.numbers_of_network` where they name none."""
        return numbers_of_network(window, self.parameters)

    def _steps(self, window: Window, name: str) -> Sequence[int]:
        if self.parameters.published_defaults or not is_parameter(window, name):
            return window.captured(name)
        return training_captures(window, name)

    def lacks(self, window: Window) -> Finding | None:
        """`num_steps` values of a tensor."""
        count = self.parameters.num_steps
        if any(len(self._steps(window, name)) >= count for name in self.tensors(window)):
            return None
        return self.note(
            window,
            f"no tensor that this rule judges was saved {count} times",
            remedy="name the tensors in a collection of DebugHookConfig, train for longer, or give "
            "it a smaller save_interval",
        )

    def judge(self, window: Window) -> Sequence[Finding]:
        """Compare each new value with those before it."""
        chosen = self.parameters
        names = self.tensors(window)

        def measure(name: str, step: int) -> tuple[float, float] | None:
            steps = self._steps(window, name)
            place = bisect_right(steps, step)
            steps = steps[max(0, place - chosen.num_steps) : place]
            if len(steps) < chosen.num_steps or not self._all_close(window, name, steps):
                return None
            if self._is_expected(window, names, name, step):
                return None
            return float(chosen.num_steps), float(chosen.num_steps)

        found = first_offence(
            window, names, measure, lambda one: 0.0, lambda name: self._steps(window, name)
        )
        if found is None:
            return []
        return [
            self.issue(
                window,
                found.step,
                f"{found.name} has not changed over its last {chosen.num_steps} saved values "
                f"(rtol {chosen.rtol:g}, atol {chosen.atol:g}){found.and_others()}",
                tensor=found.name,
                value=found.value,
                bound=found.bound,
                cause="the learning rate is zero or tiny, the optimizer does not hold the "
                "parameter or never steps, or the tensor is a constant",
                remedy="print the learning rate, check that optimizer.step() runs and which "
                "parameters the optimizer was given",
            )
        ]

    def _is_expected(self, window: Window, names: Sequence[str], name: str, step: int) -> bool:
        if self.parameters.published_defaults or not is_parameter(window, name):
            return False
        if learns(window, name) is None:
            parameters = [one for one in names if is_parameter(window, one)]
            return anything_changed(window, parameters, step)
        return learns(window, name) is False

    def _all_close(self, window: Window, name: str, steps: Sequence[int]) -> bool:
        pairs = combinations(steps, 2)
        return all(self._close(window, name, earlier, later) for earlier, later in pairs)

    def _close(self, window: Window, name: str, earlier: int, later: int) -> bool:
        chosen = self.parameters
        first, second = window.statistics(name, earlier), window.statistics(name, later)
        changed = change(window, name, earlier, later) if is_parameter(window, name) else None
        norm = None if second is None else second.l2
        bare = chosen.model_fields_set & {"published_defaults", "rtol", "atol"}
        if not bare and changed is not None and norm is not None:
            return changed <= _UNCHANGED * norm
        before, after = window.raw(name, earlier), window.raw(name, later)
        if before is not None and after is not None:
            return before.shape == after.shape and bool(
                np.allclose(
                    as_numbers(before),
                    as_numbers(after),
                    rtol=chosen.rtol,
                    atol=chosen.atol,
                    equal_nan=chosen.equal_nan,
                )
            )
        if first is None or second is None:
            return False
        if changed is not None and second.l2 is not None:
            # What the tolerances allow an element, over all of them.
            return changed <= chosen.atol * math.sqrt(second.size) + chosen.rtol * second.l2
        return close_statistics(
            first, second, rtol=chosen.rtol, atol=chosen.atol, equal_nan=chosen.equal_nan
        )
