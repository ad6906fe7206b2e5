"""Losses of a log: which tensors they are, and their means over the passes of a training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from clary.formats.tensor_log.entries import Mode
from clary.rules.source import Series
from clary.rules.window import Pass, Window

HOW_TO_GET = "let the hook keep the collection `losses`, as it does without any configuration"
# So many losses at the beginning stand for an untrained network.
_FIRST = 3


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


@dataclass(frozen=True)
class PassMean:
    """The mean of a loss over a pass, over its finite values; `count` of them."""

    one: Pass
    mean: float
    count: int


def pass_means(window: Window, name: str) -> list[PassMean]:
    """A loss's mean over each pass that has one."""
    series = window.series(name)
    means = []
    for one in window.passes:
        values = series.between(one.first, one.last).values
        finite = values[np.isfinite(values)]
        if len(finite):
            means.append(PassMean(one, float(finite.mean()), len(finite)))
    return means


def has_mode(window: Window, names: Sequence[str], mode: Mode) -> bool:
    """Whether any of some losses was saved in a mode."""
    return any(len(window.series(name, mode)) for name in names)
