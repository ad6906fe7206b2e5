"""Whether a noisy loss falls: averages in place of single batches."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from clary.debugger.rules.losses import (
    PassMean,
    pass_means,
    starting_loss,
    training_series,
    untrained_loss,
)
from clary.debugger.rules.scanning import checkpoints
from clary.formats.rule_parameters import LossNotDecreasing
from clary.formats.tensor_log.entries import Mode
from clary.rules.source import Floats
from clary.rules.window import Window

# By so many percent a loss must have fallen after so many saved training steps, at least.
LEAST_FALL_PERCENT = 2.0
LEAST_VALUES = 60
# A learning rate that is warmed up begins near zero: while it trains, a loss has so many steps.
LEAST_TRAINED = 600
# A rise must be over so many standard errors, in two blocks of so many values after each other.
_SURE = 4.0
_BLOCK = 10
# Over its best, a loss may have risen by so much of where it began.
_LOST = 0.25
# A block over so many times the loss at the start needs no second one.
_EXPLODED = 3.0
# Passes of validation that must be hardly better than an untrained network, after so many saved
# training steps; what counts as better than that, and than each other.
PASSES = 3
_LEAST_STEPS = 50
_LEARNT = 0.9
_BETTER = 0.98
_AS_FAST = 0.8
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

    The last third of all values is compared with the first: their difference is under two standard
    errors of it, and with three under `diff_percent` % (2 % where that was not given) of the first
    third. A long training that falls slowly falls surely, before that is so; a training that goes
    on is judged after 600 steps, for its learning rate may be warmed up.
    """
    series = training_series(window, name)
    if untrained_loss(window, name) is None:
        return None
    least = LEAST_FALL_PERCENT if diff_percent is None else diff_percent
    for count in [*checkpoints(len(series)), *([len(series)] if window.ended else [])]:
        step = int(series.steps[count - 1])
        far = step - series.steps[0] >= 3 * chosen.num_steps
        if count < LEAST_VALUES or not far:
            continue
        is_last = window.ended and count == len(series)
        trained = _number(window, step) - _number(window, int(series.steps[0])) + 1
        if not is_last and not (window.is_new(step) and trained >= LEAST_TRAINED):
            continue
        first, last = series.values[: count // 3], series.values[count - count // 3 : count]
        fall, error = _difference(first, last)
        start = abs(_mean(first))
        if fall < 2 * error and fall + 3 * error < least / 100 * start:
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
    """The training loss is no number, or has risen in two blocks of ten values in a row.

    Risen: `increase_threshold_percent` over where it began, or a quarter of that over its best. Of
    a block over three times where it began, one will do.
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
    start = starting_loss(window, name) or 0.0
    blocks = series.values[: len(series) // _BLOCK * _BLOCK].reshape(-1, _BLOCK)
    best, in_a_row = 0, 0
    for place, block in enumerate(blocks):
        step = int(series.steps[(place + 1) * _BLOCK - 1])
        allowed = chosen.increase_threshold_percent
        exploded = _mean(block) > _EXPLODED * start > 0
        told = None
        if exploded:
            told = _risen(name, start, start, block, 100 * (_EXPLODED - 1))
        elif _is_risen(blocks[0], block, allowed / 100 * start):
            told = _risen(name, _mean(blocks[0]), start, block, allowed)
        elif _is_risen(blocks[best], block, _LOST * start):
            told = _risen(name, _mean(blocks[best]), start, block, 100 * _LOST)
        in_a_row = in_a_row + 1 if told is not None else 0
        if told is not None and (in_a_row >= 2 or exploded) and window.is_new(step):
            return Trend(step, step, *told, *_DIVERGED)
        if _mean(block) < _mean(blocks[best]):
            best = place
    return None


def _risen(
    name: str, since: float, start: float, block: Floats, allowed: float
) -> tuple[str, float, float]:
    percent = 100 * (_mean(block) - since) / max(abs(start), 1e-30)
    message = (
        f"{name} has risen from {since:.4g} to {_mean(block):.4g} (mean of {_BLOCK} saved steps), "
        f"by {percent:.3g} % of where it began, where {allowed:g} % may be"
    )
    return message, percent, allowed


def unlearnt(window: Window, name: str) -> Trend | None:
    """Validation is hardly better than the training loss at the start, and gets no better.

    Over three passes and more: all are over 90 % of it, and the last two no lower than 98 % of the
    best before them, unless it falls faster and faster, as while the learning rate is warmed up. A
    network that can learn nothing but how frequent the classes are ends there.
    """
    start = untrained_loss(window, name)
    if start is None or start <= 0:
        return None
    training = training_series(window, name).steps
    bound = _LEARNT * start
    passes = [seen for seen in pass_means(window, name) if seen.one.mode is Mode.EVAL]
    for place, seen in enumerate(passes):
        if seen.mean < bound or passes[0].mean > _SAME_SCALE * start:
            return None
        if place + 1 < PASSES or training.searchsorted(seen.one.last) < _LEAST_STEPS:
            continue
        best = min(one.mean for one in passes[: place - 1])
        last = min(seen.mean, passes[place - 1].mean)
        if (
            last >= _BETTER * best
            and not _falls_faster(passes[place - 2 : place + 1])
            and window.is_decided_now(seen.one)
        ):
            better = "hardly" if seen.mean < start else "no"
            return Trend(
                seen.one.last,
                seen.one.decided or seen.one.last,
                f"after {place + 1} validations {name} is {seen.mean:.4g}, {better} better than "
                f"the {start:.4g} of the first training steps",
                seen.mean,
                bound,
                "the labels do not fit the pictures, the training does not change the weights, or "
                "validation prepares its pictures otherwise than training",
                "look at some pictures of both splits with their labels, use the same "
                "normalisation in both, and try another learning rate",
            )
    return None


_DIVERGED = (
    "the learning rate is too high for this optimizer and batch size, or an input or label is "
    "broken",
    "divide the learning rate by 10, warm it up, clip the gradient's norm, and look at "
    "ExplodingTensor",
)


def _number(window: Window, step: int) -> int:
    """Which of its mode a step is."""
    found = window.step(step)
    return step if found is None else found.mode_step


def _falls_faster(passes: list[PassMean]) -> bool:
    first, second, third = (one.mean for one in passes)
    return second - third >= _AS_FAST * (first - second) > 0


def _mean(values: Floats) -> float:
    return float(values.mean())


def _is_risen(before: Floats, now: Floats, allowed: float) -> bool:
    fall, error = _difference(before, now)
    return -fall > max(allowed, _SURE * error)


def _difference(first: Floats, second: Floats) -> tuple[float, float]:
    """How far the mean of `second` is under that of `first`, and the standard error of that."""
    variance = first.var(ddof=1) / len(first) + second.var(ddof=1) / len(second)
    return float(first.mean() - second.mean()), float(math.sqrt(variance))
