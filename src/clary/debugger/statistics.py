"""Statistics of one tensor on the CPU, and of what is not finite.

Large tensors are read where they lie, by torch's vectorized reductions; numbers that are made of
them are double. A mean far from 0 takes a second pass, because `l2²/n − mean²` cancels there.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from clary.formats.tensor_log.entries import Statistics

# Over this ratio of mean² to variance the difference of two sums is no good.
CANCELLATION = 1e3
# Stays in the cache for five reductions, and float32 holds its sums to about 1e-6.
BLOCK = 1 << 18


class Wanted(NamedTuple):
    """What costs a pass more."""

    product: bool = False
    smallest_absolute: bool = False


PLAIN = Wanted()


def statistics_of(elements: Tensor, wanted: Wanted = PLAIN) -> Statistics:
    """Of all elements (n) of a tensor on the CPU."""
    size = elements.numel()
    if size == 0:
        return Statistics(0, zeros=0, nans=0, infs=0)
    if elements.dtype.is_complex:
        return Statistics(size)
    values = elements if elements.dtype in {torch.float32, torch.float64} else elements.float()
    sums = _sums(values)
    nans = infs = 0
    if sums is None:
        nans = int(torch.count_nonzero(torch.isnan(values)))
        infs = int(torch.count_nonzero(torch.isinf(values)))
        values = values[torch.isfinite(values)].double()
        sums = _sums(values) if values.numel() else None
    if sums is None:
        return Statistics(size, nans=nans, infs=infs)
    finite = values.numel()
    mean = sums.total / finite
    return Statistics(
        size,
        zeros=finite - sums.nonzeros,
        nans=nans,
        infs=infs,
        min=sums.low,
        max=sums.high,
        mean=mean,
        std=math.sqrt(_variance(values, sums, mean)),
        abs_min=_smallest_absolute(values, sums) if wanted.smallest_absolute else None,
        prod=values.double().prod().item() if wanted.product else None,
        l1=sums.l1,
        l2=math.sqrt(sums.squares),
    )


class _Sums(NamedTuple):
    low: float
    high: float
    total: float
    l1: float
    squares: float
    nonzeros: int


def _sums(values: Tensor) -> _Sums | None:
    """None when an element is not finite, or the type of the elements cannot hold a sum."""
    low, high, total, l1, squares, nonzeros = math.inf, -math.inf, 0.0, 0.0, 0.0, 0
    for block in torch.split(values, BLOCK):
        smallest, largest = torch.aminmax(block)
        low, high = min(low, smallest.item()), max(high, largest.item())
        total += block.sum().item()
        l1 += torch.linalg.vector_norm(block, 1).item()
        squares += torch.dot(block, block).item()
        nonzeros += int(torch.count_nonzero(block).item())
    if not (math.isfinite(total) and math.isfinite(l1) and math.isfinite(squares)):
        return None
    return _Sums(low, high, total, l1, squares, nonzeros)


def _variance(values: Tensor, sums: _Sums, mean: float) -> float:
    variance = sums.squares / values.numel() - mean**2
    if mean**2 > CANCELLATION * abs(variance):
        return float((values.double() - mean).square().mean().item())
    return max(0.0, variance)


def _smallest_absolute(values: Tensor, sums: _Sums) -> float:
    if sums.low >= 0:
        return sums.low
    if sums.high <= 0:
        return -sums.high
    return float(values.abs().min().item())
