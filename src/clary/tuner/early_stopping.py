"""Whether a trial is so far behind the others that it should end: SageMaker's median rule.

https://docs.aws.amazon.com/sagemaker/latest/dg/automatic-model-tuning-early-stopping.html, after
Golovin et al., "Google Vizier" (2017): a trial is stopped at an epoch if its objective there is
worse than the median of the others' running averages up to the same epoch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean, median

from clary.tuner.trials import Direction, losses

# Fewer peers have no median to speak of.
MIN_PEERS = 4
# The first epoch is noise, and the beginning of a curve says little about its end: the rule waits
# for this share of the longest peer's epochs, as Perrone et al., "Amazon SageMaker Automatic Model
# Tuning" (2020), start late by the lengths of completed trials.
MIN_EPOCHS = 2
MIN_SHARE = 0.25

# A power of two takes no digit away; sums of 2⁶⁴ values hold.
_SHRINK = 2.0**-64


def stops_early(
    curve: Sequence[float], peers: Sequence[Sequence[float]], direction: Direction
) -> bool:
    """Whether a running trial with this `curve` should be stopped at its last epoch.

    Args:
        curve: the objective at each epoch so far, in its own unit.
        peers: the curves of trials that are over, from their first epoch. Only those that are as
            long as `curve` take part; at least 4 must.
        direction: which way the objective is better.

    Returns:
        True if the last value is worse than the median over the peers of their average up to the
        same epoch. Always False in the first two epochs and in the first quarter of the longest
        peer's. What is not finite is worse than any number.
    """
    epochs = len(curve)
    longest = max((len(peer) for peer in peers), default=0)
    if epochs <= max(MIN_EPOCHS, MIN_SHARE * longest):
        return False
    averages = [_average(losses(peer[:epochs], direction)) for peer in peers if len(peer) >= epochs]
    if len(averages) < MIN_PEERS:
        return False
    return losses(curve[-1:], direction)[0] > _median(averages)


def _average(values: Sequence[float]) -> float:
    try:
        return fmean(values)
    except OverflowError:
        # The sum is beyond what a float holds, the average is not.
        return fmean([value * _SHRINK for value in values]) / _SHRINK


def _median(values: Sequence[float]) -> float:
    middle = median(values)
    # The mean of two may be beyond what a float holds on its way.
    return middle if math.isfinite(middle) else median([value / 2 for value in values]) * 2
