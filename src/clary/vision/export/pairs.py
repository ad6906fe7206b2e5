"""Numbers of about 46 bits as the unevaluated sum of two float32, in tensor operations.

Resizing exactly as Pillow does takes more than float32, and not every runtime keeps float64:
OpenVINO computes it as float32. A pair is (value, rest) with |rest| ≤ half a unit in the last
place of value. Source of the algorithms: Dekker, "A floating-point technique for extending the
available precision", 1971; Knuth, The Art of Computer Programming 2, section 4.2.2.
"""

from __future__ import annotations

import torch
from torch import Tensor


def add(a: Tensor, a_rest: Tensor, b: Tensor, b_rest: Tensor) -> tuple[Tensor, Tensor]:
    """The sum of two pairs."""
    total = a + b
    moved = total - a
    lost = (a - (total - moved)) + (b - moved)
    return _normal(total, lost + (a_rest + b_rest))


def multiply(a: Tensor, a_rest: Tensor, b: Tensor, b_rest: Tensor) -> tuple[Tensor, Tensor]:
    """The product of two pairs."""
    product = a * b
    a_high, a_low = _halves(a)
    b_high, b_low = _halves(b)
    lost = ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low
    return _normal(product, lost + (a * b_rest + a_rest * b))


def divide(a: Tensor, a_rest: Tensor, b: Tensor, b_rest: Tensor) -> tuple[Tensor, Tensor]:
    """The quotient of two pairs."""
    first = a / b
    back, back_rest = multiply(first, torch.zeros_like(first), b, b_rest)
    left, left_rest = add(a, a_rest, -back, -back_rest)
    return _normal(first, (left + left_rest) / b)


def total(value: Tensor, rest: Tensor) -> tuple[Tensor, Tensor]:
    """The sums along the last dimension, kept as a dimension of 1; values under 2¹⁰ in all."""
    # Multiples of 2⁻¹³ add up without rounding; what they leave is small enough for float32.
    coarse = torch.floor(value * 8192.0) / 8192.0
    fine = (value - coarse) + rest
    return _normal(coarse.sum(dim=-1, keepdim=True), fine.sum(dim=-1, keepdim=True))


def _normal(value: Tensor, rest: Tensor) -> tuple[Tensor, Tensor]:
    rounded = value + rest
    return rounded, rest - (rounded - value)


def _halves(a: Tensor) -> tuple[Tensor, Tensor]:
    # 2¹² + 1 cuts the 24 bits of a float32 in halves whose products are exact.
    wide = a * 4097.0
    high = wide - (wide - a)
    return high, a - high
