"""Losses of a log: which tensors they are, and their means over the passes of a training."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from clary.formats.tensor_log.entries import Mode
from clary.rules.source import Series
from clary.rules.window import Pass, Window

HOW_TO_GET = "let the hook keep the collection `losses`, as it does without any configuration"
# So many losses at the beginning stand for an untrained network.
_FIRST = 3
_CROSS_ENTROPY = re.compile("cross_?entropy|nll", re.IGNORECASE)
_LEAST_UNTRAINED = 0.1


def loss_names(
    window: Window, patterns: Sequence[str] | None = None, collections: Sequence[str] = ("losses",)
) -> tuple[str, ...]:
    """Losses: those of the patterns where there are any, else those of the collection."""
    names = window.names(patterns) if patterns else window.names(collections=collections)
    return tuple(name for name in names if not name.startswith("gradient/"))


def training_series(window: Window, name: str) -> Series:
    """A loss at each training step; the steps of a script that says no mode count as such."""
    series = window.series(name)
    return series.where(np.array([window.is_training(step) for step in series.steps], dtype=bool))


def starting_loss(window: Window, name: str) -> float | None:
    """The mean of the first finite training losses: what an untrained network has."""
    values = training_series(window, name).values
    finite = values[np.isfinite(values)][:_FIRST]
    return float(finite.mean()) if len(finite) else None


def untrained_loss(window: Window, name: str) -> float | None:
    """`starting_loss` where it can be that of an untrained network.

    A cross-entropy under half of what guessing gives is that of a training that was resumed: half
    of ln(classes) where the job says how many there are, else 0.1.
    """
    start = starting_loss(window, name)
    if start is None or not _CROSS_ENTROPY.search(name):
        return start
    classes = window.learning.get("classes")
    least = _LEAST_UNTRAINED
    if isinstance(classes, int) and classes > 1:
        least = 0.5 * math.log(classes)
    return start if start >= least else None


@dataclass(frozen=True)
class PassMean:
    """The mean of a loss over a pass, over its finite values; `count` of them."""

    one: Pass
    mean: float
    count: int


def pass_means(window: Window, *names: str) -> list[PassMean]:
    """A loss's mean over each pass that has one; of several losses, the mean of their means."""
    all_series = [window.series(name) for name in names]
    means = []
    for one in window.passes:
        values = [series.between(one.first, one.last).values for series in all_series]
        finite = [found for each in values if len(found := each[np.isfinite(each)])]
        if finite:
            mean = float(np.mean([each.mean() for each in finite]))
            means.append(PassMean(one, mean, sum(len(each) for each in finite)))
    return means


def paired(window: Window, names: Sequence[str]) -> list[tuple[str, ...]]:
    """Losses to compare between training and validation.

    Each by itself that was saved in both; where none was, as with label smoothing in training
    alone, all of training and of validation together.
    """
    modes = {
        name: {mode for mode in (Mode.TRAIN, Mode.EVAL) if has_mode(window, [name], mode)}
        for name in names
    }
    both = [(name,) for name in names if len(modes[name]) > 1]
    either = tuple(name for name in names if modes[name])
    if not both and has_mode(window, either, Mode.TRAIN) and has_mode(window, either, Mode.EVAL):
        return [either]
    return list(both)


def has_mode(window: Window, names: Sequence[str], mode: Mode) -> bool:
    """Whether any of some losses was saved in a mode."""
    return any(len(window.series(name, mode)) for name in names)
