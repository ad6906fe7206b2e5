"""How values of the objective are compared, written and placed in a figure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import quantiles

from clary.formats.tuning_record import Direction, Objective
from clary.jobs.pages.drawing import ticks
from clary.jobs.pages.wording import percent

# Values this many times the quartiles' distance beyond them are drawn at the edge: Tukey's fence
# for what is far out, so that one trial that diverged does not flatten all others.
FAR_OUT = 3.0
_SHARES = ("accuracy", "precision", "recall", "f1")


@dataclass(frozen=True)
class Yardstick:
    """The objective, as the page speaks of it.

    `low` and `high` bound what the figures show; values beyond are drawn at their edge.
    `as_percent` tells whether the values are shares of 1.
    """

    name: str
    direction: Direction
    low: float
    high: float
    as_percent: bool
    digits: int

    @property
    def readable(self) -> str:
        """The metric's name in words."""
        return self.name.replace("_", " ").replace(":", " ")

    @property
    def best_end(self) -> str:
        """What good values are: `higher` or `lower`."""
        return "higher" if self.direction == "Maximize" else "lower"

    def gain(self, value: float, over: float) -> float:
        """By how much `value` is better than `over`; negative where it is worse."""
        return value - over if self.direction == "Maximize" else over - value

    def text(self, value: float) -> str:
        """A value as a person reads it: `95.4 %`, `0.2134`."""
        if self.as_percent:
            return percent(value)
        if abs(value) >= 1e6 or 0 < abs(value) < 10**-self.digits:
            return f"{value:.3g}"
        return f"{value:,.{self.digits}f}"

    def tick(self, value: float) -> str:
        """A value beside an axis."""
        if self.as_percent:
            return percent(value, 0 if self.high - self.low > 0.05 else 1)
        return f"{value:.4g}"

    def difference(self, size: float) -> str:
        """The distance of two values: `2.1 points`, `0.0213`."""
        if not self.as_percent:
            return self.text(abs(size))
        points = f"{100 * abs(size):.1f}"
        return f"{points} point{'' if points == '1.0' else 's'}"

    def ticks(self) -> list[float]:
        """Round values for the objective's axis."""
        return ticks(self.low, self.high)

    def clip(self, value: float) -> float:
        """The value, or the edge of the figure that is next to it."""
        return min(max(value, self.low), self.high)


def yardstick(objective: Objective, values: Sequence[float]) -> Yardstick:
    """The yardstick for the values that trials ended with."""
    low, high = shown_span(values, objective.direction)
    spread = high - low
    name = objective.name.lower()
    shares = bool(values) and all(0 <= value <= 1 for value in values)
    pad = 0.06 * spread or 0.05 * abs(high) or 0.5
    as_percent = shares and any(word in name for word in _SHARES)
    whole_low, whole_high = (0.0, 1.0) if as_percent else (-math.inf, math.inf)
    if low >= 0:
        whole_low = 0.0
    return Yardstick(
        name=objective.name,
        direction=objective.direction,
        low=max(low - pad, whole_low),
        high=min(high + pad, whole_high),
        as_percent=as_percent,
        digits=min(max(3 - math.floor(math.log10(spread)), 2), 6) if spread > 0 else 4,
    )


def shown_span(values: Sequence[float], direction: Direction) -> tuple[float, float]:
    """What a figure of `values` shows: all good ones, and of the bad ones those not far out."""
    if not values:
        return 0.0, 1.0
    low, high = min(values), max(values)
    if len(values) < 4:
        return low, high
    first, _, third = quantiles(values, n=4, method="inclusive")
    reach = FAR_OUT * (third - first)
    # Where half of the values are equal there is no distance to judge by.
    if reach == 0:
        return low, high
    if direction == "Maximize":
        return min(value for value in values if value >= first - reach), high
    return low, max(value for value in values if value <= third + reach)
