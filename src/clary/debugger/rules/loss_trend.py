"""Whether a noisy loss falls: averages in place of single batches."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from clary.debugger.rules.losses import pass_means, starting_loss, training_series
from clary.debugger.rules.scanning import checkpoints
from clary.formats.rule_parameters import LossNotDecreasing
from clary.formats.tensor_log.entries import Mode
from clary.rules.source import Floats
from clary.rules.window import Window

# By so many percent a loss must have fallen after so many saved training steps, at least.
LEAST_FALL_PERCENT = 2.0
LEAST_VALUES = 60
# A rise must be over so many standard errors, in two blocks of so many values after each other.
_SURE = 4.0
_BLOCK = 10
# Over its best, a loss may have risen by so much of where it began.
_LOST = 0.25
# Passes of validation that must all be no better than an untrained network.
PASSES = 3
# Where validation adds up what training averages, the two cannot be compared.
_SAME_SCALE = 2.0


@dataclass(frozen=True)
class Trend:
    """What is wrong with a loss at `step`; it is known once step `decided` is there."""

    step: int
    decided: int
    message: str
    value: float
    bound: float
    cause: str
    remedy: str


def stagnating(
    window: Window, name: str, chosen: LossNotDecreasing, diff_percent: float | None
) -> Trend | None:
    """The training loss has hardly fallen since the start, which is certain despite its noise.

    The last third of all values is compared with the first: their difference and two standard
    errors of it are under `diff_percent` % (2 % where that was not given) of the first third.
    """
    series = training_series(window, name)
    least = LEAST_FALL_PERCENT if diff_percent is None else diff_percent
    for count in checkpoints(len(series)):
        step = int(series.steps[count - 1])
        far = step - series.steps[0] >= 3 * chosen.num_steps
        if count < LEAST_VALUES or not far or not window.is_new(step):
            continue
        first, last = series.values[: count // 3], series.values[count - count // 3 : count]
        fall, error = _difference(first, last)
        start = abs(_mean(first))
        if fall + 2 * error < least / 100 * start:
            percent = 100 * fall / start if start else 0.0
            moved = f"risen by {-percent:.2g} %" if fall < 0 else f"fallen by {percent:.2g} %"
            return Trend(
                step,
                step,
                f"over {count} saved training steps {name} has {moved}, from {_mean(first):.4g} to "
                f"{_mean(last):.4g}, where {least:g} % is the least",
                percent,
                least,
                "the learning rate is zero or far too low or too high, the optimizer does not hold "
                "the weights, or the labels do not fit the pictures",
                "try a learning rate ten times lower and ten times higher, check that "
                "optimizer.step() runs, and look at some pictures with their labels",
            )
    return None


def rising(window: Window, name: str, chosen: LossNotDecreasing) -> Trend | None:
    """The training loss is no number, or has risen in two blocks of values in a row.

    Risen: `increase_threshold_percent` over where it began, or a quarter of that over its best.
    """
    series = training_series(window, name)
    bad = np.flatnonzero(~np.isfinite(series.values))
    if len(bad) and window.is_new(int(series.steps[bad[0]])):
        step = int(series.steps[bad[0]])
        return Trend(
            step,
            step,
            f"{name} has become {series.values[bad[0]]}, which is no number to fall",
            math.nan,
            0.0,
            *_DIVERGED,
        )
    blocks = series.values[: len(series) // _BLOCK * _BLOCK].reshape(-1, _BLOCK)
    start = abs(float(blocks[0].mean())) if len(blocks) else 0.0
    best, in_a_row = 0, 0
    for place in range(1, len(blocks)):
        step = int(series.steps[(place + 1) * _BLOCK - 1])
        over_start = _is_risen(
            blocks[0], blocks[place], chosen.increase_threshold_percent / 100 * start
        )
        over_best = _is_risen(blocks[best], blocks[place], _LOST * start)
        in_a_row = in_a_row + 1 if over_start or over_best else 0
        if in_a_row >= 2 and window.is_new(step):
            since = blocks[0] if over_start else blocks[best]
            percent = 100 * (_mean(blocks[place]) - _mean(since)) / max(start, 1e-30)
            bound = chosen.increase_threshold_percent if over_start else 100 * _LOST
            return Trend(
                step,
                step,
                f"{name} has risen from {_mean(since):.4g} to {_mean(blocks[place]):.4g} (means of "
                f"{_BLOCK} saved steps), by {percent:.3g} % of where it began, where {bound:g} % "
                "may be",
                percent,
                bound,
                *_DIVERGED,
            )
        if blocks[place].mean() < blocks[best].mean():
            best = place
    return None


def unlearnt(window: Window, name: str) -> Trend | None:
    """The validation loss of three passes is no better than the training loss at the start."""
    start = starting_loss(window, name)
    if start is None or start <= 0:
        return None
    bound = (1 - LEAST_FALL_PERCENT / 100) * start
    passes = [seen for seen in pass_means(window, name) if seen.one.mode is Mode.EVAL]
    for place, seen in enumerate(passes):
        if seen.mean < bound or passes[0].mean > _SAME_SCALE * start:
            return None
        if place + 1 >= PASSES and window.is_decided_now(seen.one):
            return Trend(
                seen.one.last,
                seen.one.decided or seen.one.last,
                f"after {place + 1} validations {name} is {seen.mean:.4g}, no better than the "
                f"{start:.4g} of the untrained network",
                seen.mean,
                bound,
                "the labels do not fit the pictures, the training does not change the weights, or "
                "validation prepares its pictures otherwise than training",
                "look at some pictures of both splits with their labels, use the same "
                "normalisation in both, and lower the learning rate",
            )
    return None


_DIVERGED = (
    "the learning rate is too high for this optimizer and batch size, or an input or label is "
    "broken",
    "divide the learning rate by 10, warm it up, clip the gradient's norm, and look at "
    "ExplodingTensor",
)


def _mean(values: Floats) -> float:
    return float(values.mean())


def _is_risen(before: Floats, now: Floats, allowed: float) -> bool:
    fall, error = _difference(before, now)
    return -fall > max(allowed, _SURE * error)


def _difference(first: Floats, second: Floats) -> tuple[float, float]:
    """How far the mean of `second` is under that of `first`, and the standard error of that."""
    variance = first.var(ddof=1) / len(first) + second.var(ddof=1) / len(second)
    return float(first.mean() - second.mean()), float(math.sqrt(variance))
