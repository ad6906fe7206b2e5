"""Batches so small that what each step costs at any size dominates."""

from __future__ import annotations

import math

import numpy as np

from clary.formats.timeline.entries import PHASES, Mode
from clary.profiler.causes.situation import Diagnosis, Situation
from clary.profiler.step_times import StepTimes, step_times, weighted_median
from clary.profiler.wording import brief, number, percent

_LEAST_SHARE = 0.15
_LEAST_GAIN = 1.15
_ENOUGH_CPU = 32
_ENOUGH_GPU = 256
_LEFT = 0.1
"""The fixed cost may be this part of a step with the batch that is proposed."""
_WEIGHTS = 1.0
"""What reading weights and writing gradients costs in forward and backward at the least, of an
optimizer's step, which goes through the same tensors. Measured in fp32 on one core, 96 pixels:
ResNet-18 6.3 times with SGD and 1.8 with Adam, ResNet-50 6.5 and 1.2, MobileNetV2 0.9 and 0.3."""
_RATIO = 1.5
_LEAST_RECORDS = 3


def small_batches(situation: Situation) -> Diagnosis | None:
    """The cost of a step that does not grow with its batch takes a good part of the loop.

    A step takes `fixed + batch · each`. `fixed` is what `fixed_s` says; with a batch `k` times as
    large, a picture takes `fixed / k` of it, and the loop gains accordingly. Waiting for data
    grows with the batch and is left as it is.
    """
    size = situation.batch_size
    enough = _ENOUGH_GPU if situation.on_gpu else _ENOUGH_CPU
    if not situation.is_enough or not size or size > enough / 2:
        return None
    fixed = fixed_s(situation)
    train = situation.train
    step = float(situation.steady.seconds.sum()) / max(1, situation.steady.steps)
    if situation.share(train.steps * fixed) < _LEAST_SHARE:
        return None
    grows = max(step - fixed, 1e-9)
    wanted = 2 ** math.ceil(math.log2(max(2.0, fixed / (_LEFT * grows))))
    times = min(wanted, 2 ** math.floor(math.log2(enough / size)))
    gain = situation.gain(train.steps * fixed * (1 - 1 / times))
    if gain < _LEAST_GAIN:
        return None
    proposed = round(size * times)
    where = f"--batch-size {proposed}" if situation.is_clary else f"a batch of {proposed} pictures"
    return Diagnosis(
        "small_batches",
        f"a step of {number(round(size, 1))} pictures takes {brief(step)}, and about "
        f"{brief(fixed)} of that ({percent(fixed / step)}) it would take with any batch: "
        "stepping the optimizer, calling operators, reading weights",
        f"take {where}, and a learning rate to fit (often {_root(times)} to {times} times as "
        "large)",
        share=situation.share(train.steps * fixed),
        gain=gain,
        rule="BatchSize",
    )


def _root(times: int) -> str:
    return number(round(math.sqrt(times), 1))


def fixed_s(situation: Situation) -> float:
    """Seconds of a step that do not grow with its batch: the first of these that is known.

    1. On an accelerator whose own times were measured: what a step takes longer than they do.
    2. Where training steps had batches of different sizes: where a line through the medians of
       two sizes meets a batch of nothing.
    3. Where an evaluation had batches of another size: the same for the forward phase, the
       backward phase in proportion; and the optimizer's time and the script's own.
    4. The optimizer's time, as much again for reading weights and writing gradients in forward and
       backward, and the script's own, a fifth of the step at most: for most networks less than
       it is.
    """
    steady = situation.steady
    steps = max(1, steady.steps)
    step = float(steady.seconds.sum()) / steps
    compute = step - min(step, steady.phase_s("data") / steps)
    if steady.device_step_s is not None:
        return max(0.0, compute - steady.device_step_s)
    # Two programs are two networks: no line goes through both.
    by_line = None if situation.is_mixed else _by_line(_without_data(steady), steady)
    if by_line is not None:
        return min(by_line, compute)
    optimizer = steady.phase_s("optimizer") / steps
    own = min(float(steady.own_s.sum()) / steps, 0.2 * step)
    least = (1 + _WEIGHTS) * optimizer + own
    forward, backward = (steady.phase_s(name) / steps for name in ("forward", "backward"))
    intercept = _by_evaluation(situation, forward)
    if intercept is None or not forward:
        return min(least, compute)
    share = min(1.0, intercept / forward)
    return min(max(least, share * (forward + backward) + optimizer + own), compute)


def _without_data(times: StepTimes) -> np.ndarray:
    return (times.seconds - times.phases_s[:, PHASES.index("data")]) / times.merged


def _by_line(seconds: np.ndarray, times: StepTimes) -> float | None:
    sizes = times.pictures / times.merged
    kinds = [one for one in np.unique(sizes) if one > 0 and (sizes == one).sum() >= _LEAST_RECORDS]
    if len(kinds) < 2 or kinds[-1] < _RATIO * kinds[0]:
        return None
    small, large = kinds[0], kinds[-1]
    taken = [float(np.median(seconds[sizes == one])) for one in (small, large)]
    return float(max(0.0, (taken[0] * large - taken[1] * small) / (large - small)))


def _by_evaluation(situation: Situation, forward: float) -> float | None:
    """Where the forward phase meets a batch of nothing, in seconds."""
    evaluated = step_times(situation.profile, Mode.EVAL).after(1)
    if len(evaluated.seconds) < _LEAST_RECORDS or not evaluated.measured[2]:
        return None
    sizes = evaluated.pictures / evaluated.merged
    size = weighted_median(sizes, evaluated.merged)
    trained = situation.batch_size
    if not size or max(size, trained) < _RATIO * min(size, trained):
        return None
    chosen = sizes == size
    column = evaluated.phases_s[chosen, PHASES.index("forward")] / evaluated.merged[chosen]
    other = float(np.median(column))
    return max(0.0, (forward * size - other * trained) / (size - trained))
