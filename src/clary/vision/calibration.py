"""Temperature scaling: one number that makes a model's probabilities mean what they say.

Guo et al., "On Calibration of Modern Neural Networks", 2017, section 4.2.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from clary.vision.metrics import Floats, Integers, checked, losses

LOWEST, HIGHEST = 0.1, 10.0
PICTURES = 20_000
_STEPS = 24
_GOLDEN = (math.sqrt(5) - 1) / 2


def fit_temperature(logits: npt.ArrayLike, labels: npt.ArrayLike) -> float:
    """Find the temperature that makes held-out pictures likeliest; the predictions stay the same.

    The likelihood is weighed against a standard normal prior on log T, which matters only where
    the pictures say little: a model that makes no mistake on forty of them would otherwise be
    told to be infinitely sure. Of more than 20,000 pictures every n-th is used.

    Args:
        logits: shape (N, C), of pictures that the weights were not fitted to.
        labels: shape (N,).

    Returns:
        The temperature to divide logits by, 0.1…10; over 1 for an overconfident model.

    Raises:
        DataError: there are no pictures, or labels and logits do not belong together.
        ModelError: a logit is NaN or infinite.
    """
    scores, truth = checked(logits, labels)
    stride = -(-len(truth) // PICTURES)
    scores, truth = scores[::stride], truth[::stride]
    # A coarse grid first: with the prior the cost need not have a single valley.
    grid = np.linspace(math.log(LOWEST), math.log(HIGHEST), 13)
    costs = [_cost(scores, truth, float(place)) for place in grid]
    best = int(np.argmin(costs))
    low, high = float(grid[max(best - 1, 0)]), float(grid[min(best + 1, len(grid) - 1)])
    return math.exp(_golden_section(scores, truth, low, high))


def _cost(logits: Floats, labels: Integers, log_temperature: float) -> float:
    likelihood = losses(logits / math.exp(log_temperature), labels).sum()
    return float(likelihood) + log_temperature**2 / 2


def _golden_section(logits: Floats, labels: Integers, low: float, high: float) -> float:
    left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
    at_left, at_right = _cost(logits, labels, left), _cost(logits, labels, right)
    for _ in range(_STEPS):
        if at_left <= at_right:
            high, right, at_right = right, left, at_left
            left = high - _GOLDEN * (high - low)
            at_left = _cost(logits, labels, left)
        else:
            low, left, at_left = left, right, at_right
            right = low + _GOLDEN * (high - low)
            at_right = _cost(logits, labels, right)
    return (low + high) / 2
