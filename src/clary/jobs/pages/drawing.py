"""What the figures share: scales, ticks and SVG paths. Colours are the stylesheet's variables."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 460.0, 250.0
LEFT, RIGHT, TOP, BOTTOM = 46.0, 14.0, 14.0, 30.0


@dataclass(frozen=True)
class Scale:
    """Maps `low`…`high` to `start`…`end` in the figure."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Where a value lies."""
        span = self.high - self.low or 1.0
        return self.start + (value - self.low) / span * (self.end - self.start)


def across(low: float, high: float) -> Scale:
    """The horizontal scale of a figure."""
    return Scale(low, high, LEFT, WIDTH - RIGHT)


def upward(low: float, high: float) -> Scale:
    """The vertical scale of a figure."""
    return Scale(low, high, HEIGHT - BOTTOM, TOP)


def ticks(low: float, high: float, most: int = 5, whole: bool = False) -> list[float]:
    """At most about `most` round values within `low`…`high`, in steps of 1, 2 or 5 × 10ⁿ."""
    span = high - low
    if span / most <= sys.float_info.min:
        return [low]
    exponent = math.floor(math.log10(span / most))
    step = 10.0**exponent
    step *= next(factor for factor in (1, 2, 5, 10) if span / (step * factor) <= most)
    if whole:
        step = max(1, round(step))
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(k * step, 10 + max(-exponent, 0)) for k in range(first, last + 1)]


def line(points: Sequence[tuple[float, float] | None]) -> str:
    """The path through points; None leaves a gap."""
    parts: list[str] = []
    pen_down = False
    for point in points:
        if point is None:
            pen_down = False
            continue
        parts.append(f"{'L' if pen_down else 'M'}{point[0]:.1f} {point[1]:.1f}")
        pen_down = True
    return "".join(parts)


def thinned(count: int, most: int = 600) -> list[int]:
    """At most `most` positions out of `count`, evenly, the last one among them."""
    if count <= most:
        return list(range(count))
    return sorted({round(k * (count - 1) / (most - 1)) for k in range(most)})
