"""Gradients too small to learn from."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

import numpy as np

from clary.debugger.rules.learning import GRADIENT
from clary.debugger.rules.losses import loss_names, training_series
from clary.debugger.rules.scanning import first_offence
from clary.formats import rule_parameters
from clary.formats.findings import Finding
from clary.formats.tensor_log.entries import Statistics
from clary.rules.rule import Rule
from clary.rules.window import Window

# A training whose loss has fallen to this part of its start has converged, and its gradients with
# it.
_CONVERGED = 0.01
_SMOOTHED = 5


class VanishingGradient(Rule):
    """The mean of a gradient's absolute values is under `threshold`.

    Frozen layers have no gradient. Three more are excused unless `published_defaults` is asked for:
    one capture by itself (residual branches that begin with zeros have no gradient at step 0), a
    bias whose weight has a good gradient (a normalisation behind it cancels the bias), and
    everything once the training loss is under 1 % of its start.
    """

    parameters_model = rule_parameters.VanishingGradient
    parameters: rule_parameters.VanishingGradient

    def tensors(self, window: Window) -> Sequence[str]:
        """The collection `gradients`."""
        return window.names(collections=("gradients",))

    def lacks(self, window: Window) -> Finding | None:
        """Two captures of a gradient, or one for the published rule."""
        count = 1 if self.parameters.published_defaults else 2
        names = self.tensors(window)
        if any(len(window.captured(name)) >= count for name in names):
            return None
        if not names:
            return self.note(
                window,
                "no gradient was saved",
                remedy="add the collection `gradients` to DebugHookConfig",
            )
        return self.note(
            window,
            "the training was too short for it: gradients were saved at one step, and two are "
            "needed",
            remedy="train for longer, or give the collection `gradients` a smaller save_interval",
        )

    def judge(self, window: Window) -> Sequence[Finding]:
        """Look at each new gradient."""
        bound = self.parameters.threshold

        def measure(name: str, step: int) -> tuple[float, float] | None:
            mean = _mean_absolute(window.statistics(name, step))
            if mean is None or mean >= bound:
                return None
            if not self.parameters.published_defaults and (
                not _was_small(window, name, step, bound)
                or _is_cancelled(window, name, step, bound)
                or _has_converged(window, step)
            ):
                return None
            return mean, bound

        found = first_offence(window, self.tensors(window), measure, lambda one: one.value)
        if found is None:
            return []
        parameter = found.name.removeprefix(GRADIENT)
        message = (
            f"the mean absolute gradient of {parameter} is {found.value:.3g}, under {bound:.3g}"
            f"{found.and_others()}"
        )
        return [
            self.issue(
                window,
                found.step,
                message,
                tensor=found.name,
                value=found.value,
                bound=bound,
                **_why(found.value),
            )
        ]


def _why(mean: float) -> dict[str, str]:
    if mean == 0:
        return {
            "cause": "no gradient reaches the layer at all: dead ReLUs or zero weights behind it, "
            "a detached tensor, or a loss that does not depend on it",
            "remedy": "lower the learning rate, look at DeadRelu, and check that nothing between "
            "the layer and the loss is detached or multiplied by zero",
        }
    return {
        "cause": "the gradient shrinks from layer to layer: saturated activations, many layers "
        "without shortcuts or normalisation, or weights drawn too small",
        "remedy": "use ReLU-like activations, normalisation or residual connections, Kaiming or "
        "Xavier initialisation, or a loss scale when training in float16",
    }


def _mean_absolute(statistics: Statistics | None) -> float | None:
    """The mean of absolute values; where it was not saved, the largest one where it tells."""
    if statistics is None or statistics.nans or statistics.infs:
        return None
    mean = statistics.reduction("mean", absolute=True)
    return mean if mean is not None else statistics.reduction("max", absolute=True)


def _was_small(window: Window, name: str, step: int, bound: float) -> bool:
    """Whether the capture before a step was under the bound too."""
    captured = window.captured(name)
    place = bisect_left(captured, step)
    if place == 0:
        return False
    mean = _mean_absolute(window.statistics(name, captured[place - 1]))
    return mean is not None and mean < bound


def _is_cancelled(window: Window, name: str, step: int, bound: float) -> bool:
    if not name.endswith("bias"):
        return False
    mean = _mean_absolute(window.statistics(name.removesuffix("bias") + "weight", step))
    return mean is not None and mean >= bound


def _has_converged(window: Window, step: int) -> bool:
    for name in loss_names(window):
        series = training_series(window, name)
        values = series.between(window.first, step).values
        values = np.abs(values[np.isfinite(values)])
        if len(values) > _SMOOTHED and (
            values[-_SMOOTHED:].mean() <= _CONVERGED * values[:_SMOOTHED].mean()
        ):
            return True
    return False
