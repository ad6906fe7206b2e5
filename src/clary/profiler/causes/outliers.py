"""Single steps that last much longer than the others."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from clary.formats.text import counted
from clary.profiler.causes.situation import LEAST_GAIN, Diagnosis, Situation
from clary.profiler.intervals import Floats
from clary.profiler.step_times import StepTimes, weighted_median
from clary.profiler.wording import brief, percent

_TO_DEVIATION = 1.4826
"""From a median absolute deviation to a standard deviation, of a normal distribution."""
_LEAST_DEVIATION = 0.05
_LEAST_RATIO = 1.5
_LEAST_SHARE = 0.08
_MOST_PART = 0.15
_LEAST_COUNT = 3
HOLDS_UP = "logging, pictures of odd sizes, garbage collection, other programs on the machine"


@dataclass(frozen=True)
class LongSteps:
    """Steps longer than `bound_s`: which records (n), and by how much over the usual one (n)."""

    usual_s: float
    bound_s: float
    records: np.ndarray
    extra_s: Floats


def long_steps(times: StepTimes, deviations: float, *, published: bool = False) -> LongSteps:
    """Steps that are longer than the usual one by so many standard deviations.

    The usual one is the median, the deviation 1.4826 times the median absolute deviation, a
    twentieth of the median at least; and they are half as long again as the median at least. Of
    several steps in one record the longest is judged. `published`: mean and standard deviation.
    """
    each, weights = times.each_s, times.merged
    if published and len(each):
        usual = float(np.average(each, weights=weights))
        spread = float(np.sqrt(np.average((each - usual) ** 2, weights=weights)))
        bound = usual + deviations * spread
    else:
        usual = weighted_median(each, weights)
        spread = _TO_DEVIATION * weighted_median(np.abs(each - usual), weights)
        bound = usual + deviations * max(spread, _LEAST_DEVIATION * usual)
        bound = max(bound, _LEAST_RATIO * usual)
    longest = np.where(times.merged > 1, times.longest_s, times.seconds)
    chosen = np.flatnonzero(longest > bound)
    return LongSteps(usual, bound, chosen, longest[chosen] - usual)


def outliers(situation: Situation) -> Diagnosis | None:
    """A few steps (15 % of them at most, 3 at least) take 8 % of the loop beyond their share.

    The gain is the loop's time over what it is if they were as all others. What they wait for data
    is left out: that is told of itself. Where other programs take a quarter of the cores or more,
    long steps are theirs.
    """
    steady = situation.steady
    if not situation.is_enough or situation.is_disturbed:
        return None
    found = long_steps(steady, 3.0)
    waits = np.where(steady.merged > 1, 0.0, steady.phases_s[:, 0])[found.records]
    extra = np.maximum(found.extra_s - waits, 0.0)
    spent, count = float(extra.sum()), int((extra > 0.2 * found.usual_s).sum())
    if (
        count < _LEAST_COUNT
        or count > _MOST_PART * steady.steps
        or situation.share(spent) < _LEAST_SHARE
        or situation.gain(spent) < LEAST_GAIN
    ):
        return None
    worst = int(found.records[np.argmax(extra)])
    return Diagnosis(
        "outliers",
        f"{counted(count, 'step')} of {steady.steps:,} took far longer than the usual "
        f"{brief(found.usual_s)}, {brief(spent)} together ({percent(situation.share(spent))} of "
        f"the training loop), the longest step {steady.first[worst]} with "
        f"{brief(float(steady.longest_s[worst]))}",
        f"look at what happens there{_regularly(steady, found)}: {HOLDS_UP}",
        share=situation.share(spent),
        gain=situation.gain(spent),
        rule="StepOutlier",
    )


def _regularly(times: StepTimes, found: LongSteps) -> str:
    """Whether they come after equal numbers of steps."""
    apart = np.diff(times.first[found.records])
    if len(apart) < _LEAST_COUNT - 1:
        return ""
    usual = float(np.median(apart))
    near = np.abs(apart - usual) <= max(1.0, 0.05 * usual)
    return f", about every {usual:.0f} steps" if usual > 1 and near.mean() >= 0.8 else ""
