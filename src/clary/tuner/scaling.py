"""The scales on which numbers are drawn."""

from __future__ import annotations

import math
from typing import Literal

Scaling = Literal["Auto", "Linear", "Logarithmic", "ReverseLogarithmic"]
Value = float | int | str

# Auto takes the logarithm where the bounds are this many times apart.
AUTO_RATIO = 100


def resolve(scaling: Scaling, low: float, high: float) -> Scaling:
    """`scaling`, with Auto decided: logarithmic where low > 0 and high / low ≥ 100."""
    if scaling != "Auto":
        return scaling
    return "Logarithmic" if low > 0 and high >= AUTO_RATIO * low else "Linear"


def forward(scale: Scaling, value: float) -> float:
    """Where `value` lies on `scale`, in units that only `inverse` understands.

    Linear is x, Logarithmic ln x, and ReverseLogarithmic −ln(1 − x), which resolves the values
    near 1 as a logarithm resolves those near 0. All three rise with x.
    """
    if scale == "Logarithmic":
        return math.log(value)
    if scale == "ReverseLogarithmic":
        return -math.log1p(-value)
    return value


def inverse(scale: Scaling, place: float) -> float:
    """The value that lies at `place` of `scale`: undoes `forward`."""
    if scale == "Logarithmic":
        return math.exp(place)
    if scale == "ReverseLogarithmic":
        return -math.expm1(-place)
    return place
