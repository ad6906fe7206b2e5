"""Weights that change too much from step to step, or not at all."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

from clary.debugger.rules.learning import (
    anything_changed,
    change,
    learns,
    training_captures,
)
from clary.debugger.rules.scanning import first_offence
from clary.formats import rule_parameters
from clary.formats.findings import Finding
from clary.rules.rule import Rule
from clary.rules.window import Window


class WeightUpdateRatio(Rule):
    """|W_s - W_earlier| / (|W_earlier| + epsilon), in L2 norms, is out of its bounds.

    `earlier` is the capture before, or the newest one at least `num_steps` older. Unless
    `published_defaults` is asked for, a frozen weight may stay, one that begins with zeros may
    grow, and a ratio that is too small must be so twice in a row.
    """

    parameters_model = rule_parameters.WeightUpdateRatio
    parameters: rule_parameters.WeightUpdateRatio

    def tensors(self, window: Window) -> Sequence[str]:
        """The collection `weights`."""
        return window.names(collections=("weights",))

    def lacks(self, window: Window) -> Finding | None:
        """Two captures of a weight, with their norms and how far they are apart."""
        for name in self.tensors(window):
            captured = training_captures(window, name)
            if len(captured) > 1 and self._ratio(window, name, captured[-1]) is not None:
                return None
        return self.note(
            window,
            "no weight was saved twice with its norm and its change",
            remedy="add the collection `weights` to DebugHookConfig, with a save_interval that "
            "the training reaches several times",
        )

    def _earlier(self, window: Window, name: str, step: int) -> int | None:
        distance = self.parameters.num_steps or 1
        captured = training_captures(window, name)
        place = bisect_right(captured, step - distance)
        return captured[place - 1] if place else None

    def _ratio(self, window: Window, name: str, step: int) -> float | None:
        earlier = self._earlier(window, name, step)
        if earlier is None:
            return None
        before = window.statistics(name, earlier)
        changed = change(window, name, earlier, step)
        if before is None or before.l2 is None or changed is None:
            return None
        if before.l2 == 0 and not self.parameters.published_defaults:
            return None
        return changed / (before.l2 + self.parameters.epsilon)

    def judge(self, window: Window) -> Sequence[Finding]:
        """Compare each new capture with an earlier one."""
        chosen = self.parameters
        names = self.tensors(window)

        def measure(name: str, step: int) -> tuple[float, float] | None:
            ratio = self._ratio(window, name, step)
            if ratio is None:
                return None
            if ratio > chosen.large_threshold:
                return ratio, chosen.large_threshold
            if ratio < chosen.small_threshold and (
                chosen.published_defaults or self._is_stuck(window, names, name, step)
            ):
                return ratio, chosen.small_threshold
            return None

        found = first_offence(
            window,
            names,
            measure,
            lambda one: -one.value,
            lambda name: training_captures(window, name),
        )
        if found is None:
            return []
        large = found.value > chosen.large_threshold
        return [
            self.issue(
                window,
                found.step,
                f"{found.name} has changed by {found.value:.3g} of its norm, "
                f"{'over' if large else 'under'} {found.bound:.3g}{found.and_others()}",
                tensor=found.name,
                value=found.value,
                bound=found.bound,
                **(_TOO_LARGE if large else _TOO_SMALL),
            )
        ]

    def _is_stuck(self, window: Window, names: Sequence[str], name: str, step: int) -> bool:
        if learns(window, name) is False:
            return False
        earlier = self._earlier(window, name, step)
        ratio = None if earlier is None else self._ratio(window, name, earlier)
        if ratio is None or ratio >= self.parameters.small_threshold:
            return False
        return learns(window, name) is True or not anything_changed(window, names, step)


_TOO_LARGE = {
    "cause": "the learning rate is far too high for these weights, or a gradient has exploded",
    "remedy": "divide the learning rate by 10, warm it up, or clip the gradient's norm",
}
_TOO_SMALL = {
    "cause": "the learning rate is zero or tiny, the optimizer does not hold these weights or "
    "never steps, or their gradients have vanished",
    "remedy": "print the learning rate, check that optimizer.step() runs and that the optimizer "
    "was given these parameters, and look at VanishingGradient",
}
