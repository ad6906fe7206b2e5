from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from clary.vision.export import pairs

Operation = Callable[[Tensor, Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]
PRECISION = 2.0**-44

NUMBERS = st.floats(2.0**-12, 2.0**15).map(lambda value: (value, -1)) | st.floats(
    2.0**-12, 2.0**15
).map(lambda value: (value, 1))


def pair(value: float) -> tuple[Tensor, Tensor]:
    high = torch.tensor([value], dtype=torch.float64).float()
    return high, (torch.tensor([value], dtype=torch.float64) - high.double()).float()


def exact(value: Tensor, rest: Tensor) -> Fraction:
    return Fraction(float(value)) + Fraction(float(rest))


@pytest.mark.parametrize("name", ["add", "multiply", "divide"])
@given(one=NUMBERS, other=NUMBERS)
def test_pairs_keep_44_bits(name: str, one: tuple[float, int], other: tuple[float, int]) -> None:
    a, b = pair(one[0] * one[1]), pair(other[0] * other[1])
    operation: Operation = getattr(pairs, name)
    found = exact(*operation(*a, *b))
    left, right = exact(*a), exact(*b)
    wanted = {
        "add": lambda: left + right,
        "multiply": lambda: left * right,
        "divide": lambda: left / right,
    }[name]()
    # What cancels in a sum was never there to keep: its error counts against the larger number.
    scale = max(abs(left), abs(right)) if name == "add" else abs(wanted)
    assert abs(found - wanted) <= PRECISION * scale


@given(values=st.lists(st.floats(0, 1, width=32), min_size=1, max_size=80))
def test_totals_keep_what_float32_would_lose(values: list[float]) -> None:
    high = torch.tensor([values])
    rest = high * 2.0**-26
    found = exact(*(part[0, 0] for part in pairs.total(high, rest)))
    wanted = sum((exact(a, b) for a, b in zip(high[0], rest[0], strict=True)), Fraction())
    assert abs(found - wanted) <= 2.0**-30
    assert math.isclose(float(found), float(wanted), rel_tol=1e-6, abs_tol=1e-9)
