"""What a log tells of how a network learns: which parameters do, at which steps, from what start.

A parameter without a gradient is frozen, and is expected to stay as it is; a network whose weights
do not look newly drawn is pretrained.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_right
from collections.abc import Sequence

import numpy as np

from clary.formats.tensor_log.entries import Mode, Statistics
from clary.rules.window import Window

GRADIENT = "gradient/"
_NORMALISATION = re.compile(r"(bn|norm|downsample\.1|\.bn\d?)[^/]*\.weight$", re.IGNORECASE)
# Under so many elements the largest of them tells little.
_MANY = 1000


def is_parameter(window: Window, name: str) -> bool:
    """Whether a tensor is a weight or a bias."""
    collections = ("weights", "biases")
    names = window.remembered(("parameters",), lambda: {*window.names(collections=collections)})
    return name in names


def learns(window: Window, name: str) -> bool | None:
    """Whether a parameter gets gradients; None where no gradient was saved at all."""
    if window.captured(GRADIENT + name):
        return True
    saved = window.remembered(
        ("gradients",), lambda: any(one.startswith(GRADIENT) for one in window.names())
    )
    return False if saved else None


def training_captures(window: Window, name: str) -> Sequence[int]:
    """The steps at which a parameter was saved and may have been changed since the one before.

    A script that never says its mode validates in the same steps: there, a step counts that has
    a gradient, where gradients are saved.
    """
    return window.remembered(("training", name), lambda: _training_captures(window, name))


def _training_captures(window: Window, name: str) -> Sequence[int]:
    captured = [step for step in window.captured(name) if window.is_training(step)]
    if all(window.mode(step) is Mode.GLOBAL for step in captured):
        backward = set(window.captured(GRADIENT + name))
        return [step for step in captured if step in backward] if backward else captured
    return captured


def change(window: Window, name: str, earlier: int, later: int) -> float | None:
    """The norm of a parameter's change between two captures; None where that was not saved.

    Where whole tensors are missing it is the sum of the changes from capture to capture, which is
    0 exactly when nothing has changed and otherwise no less than the norm.
    """
    before, after = window.raw(name, earlier), window.raw(name, later)
    if before is not None and after is not None:
        if before.shape != after.shape:
            return math.inf
        with np.errstate(invalid="ignore"):  # infinity less infinity
            return float(np.linalg.norm(np.subtract(after, before, dtype=np.float64)))
    total = 0.0
    captured = window.captured(name)
    for step in captured[bisect_right(captured, earlier) : bisect_right(captured, later)]:
        statistics = window.statistics(name, step)
        if statistics is None or statistics.update_l2 is None:
            return None
        total += statistics.update_l2
    return total


def anything_changed(window: Window, names: Sequence[str], until: int) -> bool:
    """Whether any of some parameters has changed from its first capture to step `until`."""
    # The head is named last, and is what learns where the rest is frozen.
    for name in reversed(names):
        captured = [step for step in training_captures(window, name) if step <= until]
        if len(captured) > 1 and change(window, name, captured[0], captured[-1]) != 0.0:
            return True
    return False


def is_pretrained(window: Window) -> bool | None:
    """Whether the weights were learnt before; None where nothing tells.

    The job may say so. Otherwise the weights of step 0 do: normalisation layers begin with ones, or
    with zeros at the end of a residual branch, and the largest of n newly drawn weights is hardly
    further out than sqrt(2 ln n) deviations, while learnt weights have longer tails.
    """
    said = window.learning.get("pretrained")
    if isinstance(said, bool):
        return said
    known: bool | None = None
    for name in window.names(collections=("weights",)):
        captured = window.captured(name)
        statistics = window.statistics(name, 0) if captured and captured[0] == 0 else None
        if statistics is None or statistics.std is None:
            continue
        if _NORMALISATION.search(name) or _is_all(1.0, statistics):
            if not (_is_all(1.0, statistics) or _is_all(0.0, statistics)):
                return True
            known = False
        elif statistics.size >= _MANY and statistics.min is not None:
            largest = max(abs(statistics.min), abs(statistics.max or 0.0))
            if largest > (math.sqrt(2 * math.log(statistics.size)) + 2) * statistics.std:
                return True
            known = False
    return known


def _is_all(value: float, statistics: Statistics) -> bool:
    return statistics.min == value and statistics.max == value
