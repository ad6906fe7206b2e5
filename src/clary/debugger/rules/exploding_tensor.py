"""Tensors with NaN or infinity."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

from clary.debugger.rules.learning import GRADIENT
from clary.debugger.rules.scanning import Offence, first_offence
from clary.formats import rule_parameters
from clary.formats.findings import Finding
from clary.rules.rule import Rule
from clary.rules.window import Window

# A loss scale that is too large is halved from step to step: so many captures of a gradient in a
# row are no search for it any more. A training that ends so has not found one either.
_IN_A_ROW = 5
_AT_THE_END = 2


class ExplodingTensor(Rule):
    """A tensor holds NaN or infinity; NaN alone counts with `only_nan`.

    Unless `published_defaults` is asked for, gradients may overflow in fewer than five captures in
    a row, or two at the end: a loss scale (`torch.amp.GradScaler`) looks for its size that way, and
    leaves such steps out. Where a step is not left out, the weights and the loss are NaN or
    infinite after it.
    """

    parameters_model = rule_parameters.ExplodingTensor
    parameters: rule_parameters.ExplodingTensor

    def tensors(self, window: Window) -> Sequence[str]:
        """Those that the parameters name; every one where they name none."""
        chosen = self.parameters
        return window.names(chosen.tensor_regex or (), chosen.collection_names or ())

    def judge(self, window: Window) -> Sequence[Finding]:
        """Look at each new tensor."""
        only_nan = self.parameters.only_nan
        found = self._first(window, at_the_end=False)
        if found is None and window.ended:
            found = self._first(window, at_the_end=True)
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

    def _first(self, window: Window, *, at_the_end: bool) -> Offence | None:
        only_nan = self.parameters.only_nan

        def measure(name: str, step: int) -> tuple[float, float] | None:
            count = _count(window, name, step, only_nan=only_nan)
            stays = count and self._stays(window, name, step, at_the_end=at_the_end)
            return (float(count), 0.0) if stays else None

        return first_offence(window, self.tensors(window), measure, lambda one: -one.value)

    def _stays(self, window: Window, name: str, step: int, *, at_the_end: bool) -> bool:
        """Whether a tensor that is no number at a step is ill, and not only left out."""
        if self.parameters.published_defaults or not name.startswith(GRADIENT):
            return True
        captured = window.captured(name)
        place = bisect_right(captured, step)
        enough = _AT_THE_END if at_the_end and place == len(captured) else _IN_A_ROW
        last = captured[max(0, place - enough) : place]
        return len(last) == enough and all(
            _count(window, name, one, only_nan=False) for one in last
        )


def _count(window: Window, name: str, step: int, *, only_nan: bool) -> int:
    statistics = window.statistics(name, step)
    if statistics is None:
        return 0
    return (statistics.nans or 0) + (0 if only_nan else statistics.infs or 0)
