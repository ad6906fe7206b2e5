"""A network that begins where it cannot learn."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from clary.debugger.rules.learning import GRADIENT, is_pretrained
from clary.debugger.rules.losses import loss_names, training_series
from clary.formats import rule_parameters
from clary.formats.findings import Finding
from clary.formats.tensor_log.entries import Statistics
from clary.rules.rule import Rule
from clary.rules.window import Window

# Variances that differ so much can come from no network that learns, pretrained or not.
_EXTREME_RATIO = 1e6


class PoorWeightInitialization(Rule):
    """Within the first `steps` captures of training, one of three signs.

    a. The variances of two layers' activation inputs differ by more than `threshold` times.
    b. The 5th and 95th percentile of a gradient are less than `distribution_range` apart.
    c. The loss has not fallen under its best for `patience` steps.

    Each by itself is normal where weights were learnt before, and (c) also where batches are small,
    so that the published thresholds fire for every fine-tuning. Unless `published_defaults` is
    asked for, weights that are pretrained are not judged; new ones need (c) together with (a) or
    (b); and what no network can learn from is told at once: activation inputs without any
    variance, not a number, or 1e6 times apart, and gradients that stay all zero.
    """

    parameters_model = rule_parameters.PoorWeightInitialization
    parameters: rule_parameters.PoorWeightInitialization

    def tensors(self, window: Window) -> Sequence[str]:
        """Activation inputs, gradients and losses."""
        return sorted({*self._inputs(window), *self._gradients(window), *loss_names(window)})

    def lacks(self, window: Window) -> Finding | None:
        """Activation inputs or gradients, or that the weights are known to be pretrained."""
        if self._inputs(window) or self._gradients(window):
            return None
        if not self.parameters.published_defaults and is_pretrained(window):
            return None
        return self.note(
            window,
            "no activation input (looked for "
            f"{', '.join(self.parameters.activation_inputs_regex)}) and no gradient was saved",
            remedy="add the collection `gradients`, and one with include_regex '.*relu_input', to "
            "DebugHookConfig, with save_interval 1 and end_step 10",
        )

    def _inputs(self, window: Window) -> Sequence[str]:
        return window.names(self.parameters.activation_inputs_regex)

    def _gradients(self, window: Window) -> Sequence[str]:
        names = window.names(collections=("gradients",))
        return tuple(name for name in names if name.endswith("weight"))

    def _steps(self, window: Window) -> Sequence[int]:
        return window.remembered(("steps",), lambda: self._first_steps(window))

    def _first_steps(self, window: Window) -> Sequence[int]:
        names = self.tensors(window)
        steps = sorted({step for name in names for step in window.captured(name)})
        return [step for step in steps if window.is_training(step)][: self.parameters.steps]

    def judge(self, window: Window) -> Sequence[Finding]:
        """Look at the first captures."""
        published = self.parameters.published_defaults
        if not self._news(window):
            return []
        pretrained = None if published else is_pretrained(window)
        for step in self._steps(window):
            if not window.is_new(step):
                continue
            signs = [*self._variances(window, step), *self._gradient_ranges(window, step)]
            loss = self._loss(window, step)
            if published:
                told = [sign for sign, _ in signs] + ([loss] if loss is not None else [])
            else:
                told = [sign for sign, extreme in signs if extreme]
                if not told and pretrained is False and loss is not None:
                    told = [sign for sign, _ in signs]
            if told:
                return told[:3]
        if pretrained and window.ended:
            return [
                self.note(
                    window,
                    "the weights are pretrained, so that their initialisation was judged by its "
                    "extremes alone",
                    remedy="give published_defaults=True to judge by SageMaker's thresholds",
                )
            ]
        return []

    def _news(self, window: Window) -> bool:
        return window.ended or any(window.is_new(step) for step in self._steps(window))

    def _variances(self, window: Window, step: int) -> Iterator[tuple[Finding, bool]]:
        variances = {}
        for name in self._inputs(window):
            statistics = window.statistics(name, step)
            if statistics is None or statistics.size == 1:
                continue
            if statistics.nans:
                variances[name] = math.nan
            elif statistics.std is not None:
                variances[name] = statistics.std**2
        if not variances:
            return
        low, high = min(variances, key=_key(variances)), max(variances, key=_key(variances))
        least, largest = variances[low], variances[high]
        ratio = largest / least if least else math.inf
        if not ratio > self.parameters.threshold and math.isfinite(ratio):
            return
        yield (
            self.issue(
                window,
                step,
                f"the variances of activation inputs are {ratio:.3g} times apart, over "
                f"{self.parameters.threshold:g}: {largest:.3g} of {high} and {least:.3g} of {low}",
                tensor=low,
                value=ratio,
                bound=self.parameters.threshold,
                **_POOR,
            ),
            not ratio <= _EXTREME_RATIO,
        )

    def _gradient_ranges(self, window: Window, step: int) -> Iterator[tuple[Finding, bool]]:
        ranges = {}
        for name in self._gradients(window):
            span = _span(window, name, step)
            if span is not None:
                ranges[name] = span
        if not ranges:
            return
        least = min(ranges, key=_key(ranges))
        if ranges[least] >= self.parameters.distribution_range:
            return
        yield (
            self.issue(
                window,
                step,
                f"the 5th and 95th percentile of the gradient of {least.removeprefix(GRADIENT)} "
                f"are {ranges[least]:.3g} apart, under {self.parameters.distribution_range:g}",
                tensor=least,
                value=ranges[least],
                bound=self.parameters.distribution_range,
                **_POOR,
            ),
            self._stays_zero(window, least, step),
        )

    def _stays_zero(self, window: Window, name: str, step: int) -> bool:
        """Whether a gradient is zero at a step and at the capture before: one may be, at first."""
        captured = [one for one in self._steps(window) if one <= step]
        last = [window.statistics(name, one) for one in captured[-2:]]
        return len(last) == 2 and all(_is_zero(one) for one in last)

    def _loss(self, window: Window, step: int) -> Finding | None:
        for name in loss_names(window):
            values = training_series(window, name).between(window.first, step).values
            if len(values) <= self.parameters.patience:
                continue
            best = int(np.nanargmin(values)) if np.isfinite(values).any() else 0
            waited = len(values) - 1 - best
            if waited >= self.parameters.patience:
                return self.issue(
                    window,
                    step,
                    f"{name} has not fallen under {values[best]:.4g} for {waited} steps, and "
                    f"patience is {self.parameters.patience}",
                    tensor=name,
                    value=float(waited),
                    bound=float(self.parameters.patience),
                    **_POOR,
                )
        return None


def _key(values: dict[str, float]) -> Callable[[str], float]:
    return lambda name: -math.inf if math.isnan(values[name]) else values[name]


def _span(window: Window, name: str, step: int) -> float | None:
    """From the 5th to the 95th percentile; by the histogram where the whole tensor is missing."""
    tensor = window.raw(name, step)
    if tensor is not None:
        values = tensor.astype(np.float64).reshape(-1)
        finite = values[np.isfinite(values)]
        if not finite.size:
            return None
        low, high = np.percentile(finite, [5, 95])
        return float(high - low)
    statistics = window.statistics(name, step)
    if statistics is None:
        return None
    if statistics.histogram is not None:
        return statistics.histogram.quantile(0.95) - statistics.histogram.quantile(0.05)
    # Of a normal distribution: twice 1.645 standard deviations.
    return None if statistics.std is None else 2 * 1.645 * statistics.std


def _is_zero(statistics: Statistics | None) -> bool:
    return statistics is not None and statistics.min == 0 and statistics.max == 0


_POOR = {
    "cause": "the weights were drawn too small, too large or all alike, so that signals or "
    "gradients die out or blow up from layer to layer",
    "remedy": "use Kaiming initialisation before ReLU and Xavier before tanh and sigmoid, put "
    "normalisation between layers, or start from pretrained weights",
}
