"""Positions and ticks on the scale of a range, as fractions of an axis from 0 to 1."""

from __future__ import annotations

import math
from dataclasses import dataclass

from clary.formats.tuning_record import CategoricalRange, ParameterRange, Value
from clary.jobs.pages.drawing import ticks
from clary.tuner.scaling import Scaling, forward, inverse, resolve

# What stays free beyond the outermost values, so that their dots are not cut.
MARGIN = 0.04


@dataclass(frozen=True)
class AxisTick:
    """A place between 0 and 1, and what stands there."""

    place: float
    text: str


@dataclass(frozen=True)
class Axis:
    """A tuned parameter as an axis."""

    tuned: ParameterRange

    @property
    def name(self) -> str:
        """The parameter's name."""
        return self.tuned.name

    @property
    def scale(self) -> Scaling | None:
        """The scale of a number's axis, Auto decided; None for values without an order."""
        if isinstance(self.tuned, CategoricalRange):
            return None
        return resolve(self.tuned.scaling, self.tuned.low, self.tuned.high)

    @property
    def varies(self) -> bool:
        """Whether the range holds more than one value."""
        if isinstance(self.tuned, CategoricalRange):
            return len(self.tuned.values) > 1
        return self.tuned.low < self.tuned.high

    def fraction(self, value: Value) -> float | None:
        """Where a value lies within the range on its scale; None where it lies outside.

        Values without an order stand in the middle of equal bands.
        """
        if isinstance(self.tuned, CategoricalRange):
            values = self.tuned.values
            if str(value) not in values:
                return None
            return (values.index(str(value)) + 0.5) / len(values)
        if isinstance(value, str) or not self.tuned.low <= value <= self.tuned.high:
            return None
        scale = resolve(self.tuned.scaling, self.tuned.low, self.tuned.high)
        start, end = forward(scale, self.tuned.low), forward(scale, self.tuned.high)
        return (forward(scale, value) - start) / (end - start) if end > start else 0.5

    def place(self, value: Value) -> float | None:
        """Where a value is drawn on the axis; None where it lies outside of the range."""
        fraction = self.fraction(value)
        if fraction is None or isinstance(self.tuned, CategoricalRange):
            return fraction
        return MARGIN + fraction * (1 - 2 * MARGIN)

    def ticks(self, most: int = 5) -> tuple[AxisTick, ...]:
        """At most about `most` round values; every value where they have no order."""
        if isinstance(self.tuned, CategoricalRange):
            values = self.tuned.values
            return tuple(AxisTick((k + 0.5) / len(values), v) for k, v in enumerate(values))
        low, high = float(self.tuned.low), float(self.tuned.high)
        whole = self.tuned.kind == "integer"
        values_shown = _round_values(low, high, self.scale or "Linear", most, whole)
        if not any(low <= value <= high for value in values_shown):
            values_shown = [low, high]  # too near to each other for a round value between
        placed = [(self.place(value), value) for value in values_shown]
        return tuple(AxisTick(place, number(value)) for place, value in placed if place is not None)


def space(tuned: ParameterRange) -> str:
    """A range as `--space` takes it: `lr=0.0001..0.1:log`, `batch_size=32,64`."""
    if isinstance(tuned, CategoricalRange):
        return f"{tuned.name}={','.join(tuned.values)}"
    names = {"Linear": ":linear", "Logarithmic": ":log", "ReverseLogarithmic": ":reverse-log"}
    scaling = names.get(tuned.scaling, "")
    ends = f"{tuned.low!r}..{tuned.high!r}"
    return f"{tuned.name}={ends}{scaling}"


def number(value: Value) -> str:
    """A value as a person reads it: `0.0031`, `3.1e-05`, `64`, `adamw`."""
    if isinstance(value, str):
        return value
    if isinstance(value, int):
        return f"{value:,}" if abs(value) >= 10_000 else str(value)
    if value and not 1e-4 <= abs(value) < 1e5:
        mantissa, exponent = f"{value:.2e}".split("e")
        return f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"


def _round_values(low: float, high: float, scale: Scaling, most: int, whole: bool) -> list[float]:
    if low == high:
        return [low]
    if scale == "Logarithmic":
        return _decades(low, high, most)
    if scale == "ReverseLogarithmic":
        return _reverse_decades(low, high)
    return ticks(low, high, most, whole=whole)


def _decades(low: float, high: float, most: int) -> list[float]:
    """Powers of ten, with their doubles and fives where there are few of them."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    step = max(1, math.ceil((last - first) / most))
    for factors in ((1,), (1, 3), (1, 2, 5)):
        values = [
            float(f"{factor}e{power}")
            for power in range(first, last + 1, step)
            for factor in (factors if step == 1 else (1,))
        ]
        # A bound such as 0.0001 is often the fifth decimal of a computed one.
        shown = [v for v in values if low * (1 - 1e-9) <= v <= high * (1 + 1e-9)]
        if len(shown) >= 3 or step > 1:
            break
    return [min(max(value, low), high) for value in shown] or [low, high]


def _reverse_decades(low: float, high: float) -> list[float]:
    """0, 0.9, 0.99 and so on; the ends where none of them lies within."""
    values = [0.0, 0.5, *(round(1 - 10.0**-power, power) for power in range(1, 9))]
    shown = [value for value in values if low <= value <= high]
    if len(shown) >= 2:
        return shown
    middle = inverse(
        "ReverseLogarithmic",
        (forward("ReverseLogarithmic", low) + forward("ReverseLogarithmic", high)) / 2,
    )
    return [low, middle, high]
