"""Objectives with known minima that behave as the training of a classifier does.

Each takes a combination and gives an error rate that is 0 at its best, so that an error is also the
regret. They were written down before any strategy was tried on them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random

from clary.tuner.ranges import CategoricalRange, ContinuousRange, IntegerRange, Space
from clary.tuner.scaling import Value


@dataclass(frozen=True)
class Objective:
    """A function to minimise.

    Args:
        name: for the table.
        space: where its minimum lies.
        error: the exact value, 0 at best.
        noise: the standard deviation of what a trial measures.
    """

    name: str
    space: Space
    error: Callable[[Mapping[str, Value]], float]
    noise: float = 0.0

    def measure(self, values: Mapping[str, Value], random: Random) -> float:
        """What a trial reports."""
        return self.error(values) + random.gauss(0.0, 1.0) * self.noise

    def curve(self, values: Mapping[str, Value], epochs: int, random: Random) -> tuple[float, ...]:
        """What a trial reports after each epoch; it falls to `error` at the last, slow or fast."""
        slowness = 1.0 + 5.0 * random.random()
        left = [0.6 * math.exp(-epoch / slowness) for epoch in range(1, epochs + 1)]
        return tuple(self.measure(values, random) + more - left[-1] for more in left)


def _decades(value: Value, best: float) -> float:
    return math.log10(float(value) / best)


def valley(values: Mapping[str, Value]) -> float:
    """SGD: what counts is lr / (1 − momentum); a bit too much of it is worse than too little."""
    momentum = float(values["momentum"])
    off = _decades(float(values["lr"]) / (1 - momentum), 0.1)
    error = 0.04 * off**2 if off < 0 else min(0.04 * off**2 + 0.15 * off**3, 0.9)
    error += 0.02 * _decades(1 - momentum, 0.05) ** 2
    # The more weight decay, the smaller the steps that it allows.
    decay = _decades(float(values["weight_decay"]), 1e-3) + 0.5 * off
    return min(error + 0.01 * decay**2, 0.9)


def mixed(values: Mapping[str, Value]) -> float:
    """A choice of optimizer that moves the best learning rate, and a batch size that does too."""
    best, floor, width = {
        "adamw": (1e-3, 0.0, 0.05),
        "adam": (7e-4, 0.01, 0.05),
        "sgd": (5e-2, 0.02, 0.03),
        "rmsprop": (2e-4, 0.04, 0.08),
    }[str(values["optimizer"])]
    batch = int(values["batch_size"])
    error = floor + width * _decades(float(values["lr"]), best * (batch / 64) ** 0.5) ** 2
    error += 0.008 * math.log2(batch / 32) ** 2
    error += 0.3 * (float(values["dropout"]) - 0.2) ** 2
    return min(error + 0.004 * abs(int(values["warmup"]) - 3), 0.9)


def noisy(values: Mapping[str, Value]) -> float:
    """Five numbers of which two matter much, one a little and two not at all."""
    error = 0.05 * _decades(float(values["lr"]), 3e-3) ** 2
    error += 0.4 * (float(values["label_smoothing"]) - 0.1) ** 2
    return error + 0.02 * _decades(float(values["weight_decay"]), 1e-2) ** 2


OBJECTIVES = (
    Objective(
        "valley",
        Space(
            (
                ContinuousRange("lr", 1e-5, 1.0, "Logarithmic"),
                ContinuousRange("momentum", 0.0, 0.999, "ReverseLogarithmic"),
                ContinuousRange("weight_decay", 1e-6, 1e-1, "Logarithmic"),
            )
        ),
        valley,
    ),
    Objective(
        "mixed",
        Space(
            (
                CategoricalRange("optimizer", ("sgd", "adam", "adamw", "rmsprop")),
                CategoricalRange("batch_size", ("16", "32", "64", "128", "256")),
                ContinuousRange("lr", 1e-5, 1.0, "Auto"),
                ContinuousRange("dropout", 0.0, 0.8),
                IntegerRange("warmup", 0, 10),
            )
        ),
        mixed,
    ),
    Objective(
        "noisy",
        Space(
            (
                ContinuousRange("lr", 1e-5, 1e-1, "Logarithmic"),
                ContinuousRange("label_smoothing", 0.0, 0.5),
                ContinuousRange("weight_decay", 1e-5, 1.0, "Logarithmic"),
                ContinuousRange("ema_decay", 0.9, 0.9999, "ReverseLogarithmic"),
                IntegerRange("layers", 1, 8),
            )
        ),
        noisy,
        noise=0.02,
    ),
)
