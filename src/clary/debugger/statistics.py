"""Statistics of one tensor on the CPU, and of what is not finite.

Large tensors are read where they lie, block by block, by torch's vectorized reductions; numbers
that are made of blocks are double. What float32 cannot tell, such as norms of vanishing values or
the spread of values far from 0, is read again in double precision.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from clary.formats.tensor_log.entries import Statistics

# Over this ratio of mean² to variance the difference of two sums is no good.
CANCELLATION = 1e3
# Under this mean of squares, float32 may hold squares badly or not at all.
VANISHING = 1e-30
# Stays in the cache for all reductions, as doubles too. From 32,768 elements on torch divides one
# among threads, and waking those for each block takes longer than the block.
BLOCK = (1 << 15) - 64
_WIDE = {torch.float64, torch.int32, torch.int64}


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
    found = _quickly(elements) or _carefully(elements)
    if not found.finite:
        return found
    if wanted.smallest_absolute:
        found = replace(found, abs_min=_smallest_absolute(elements, found))
    if wanted.product:
        products = (_finite(block).double().prod() for block in _blocks(elements))
        found = replace(found, prod=math.prod(product.item() for product in products))
    return found


def _blocks(elements: Tensor) -> Iterator[Tensor]:
    """As floats that hold them."""
    dtype = torch.float64 if elements.dtype in _WIDE else torch.float32
    for block in torch.split(elements, BLOCK):
        yield block.to(dtype)


def _finite(block: Tensor) -> Tensor:
    finite = torch.isfinite(block)
    return block if finite.all() else block[finite]


def _scaled(elements: Tensor, scale: float) -> Iterator[Tensor]:
    """Finite elements in double precision: a tensor of their own, which may be changed."""
    for block in _blocks(elements):
        yield _finite(block).to(torch.float64, copy=True).div_(scale)


def _quickly(elements: Tensor) -> Statistics | None:
    """None where an element is not finite, or sums in the elements' own precision are no good."""
    low, high, total, l1, squares, zeros = math.inf, -math.inf, 0.0, 0.0, 0.0, 0
    scratch: Tensor | None = None
    for block in _blocks(elements):
        smallest, largest = torch.aminmax(block)
        low, high = min(low, smallest.item()), max(high, largest.item())
        total += block.sum().item()
        # `sum` adds pairwise, which `vector_norm` and `dot` do not.
        scratch = torch.empty_like(block) if scratch is None else scratch[: len(block)]
        l1 += torch.abs(block, out=scratch).sum().item()
        # Counting takes twice as long as asking whether there is anything to count.
        if scratch.amin().item() == 0:
            zeros += len(block) - int(torch.count_nonzero(block).item())
        squares += torch.mul(block, block, out=scratch).sum().item()
    size = elements.numel()
    mean = total / size
    variance = squares / size - mean * mean
    if (
        not (math.isfinite(total) and math.isfinite(l1) and math.isfinite(squares))
        or (l1 > 0 and squares < VANISHING * size)
        or mean * mean > CANCELLATION * abs(variance)
    ):
        return None
    return Statistics(
        size,
        zeros=zeros,
        nans=0,
        infs=0,
        min=low,
        max=high,
        mean=mean,
        std=math.sqrt(max(0.0, variance)),
        l1=l1,
        l2=math.sqrt(squares),
    )


@dataclass
class _Counted:
    """What a first pass tells, of finite elements."""

    low: float = math.inf
    high: float = -math.inf
    nans: int = 0
    infs: int = 0
    zeros: int = 0
    finite: int = 0


def _carefully(elements: Tensor) -> Statistics:
    """In double precision and three passes, of the finite elements."""
    counted = _Counted()
    for block in _blocks(elements):
        finite = _finite(block)
        nans = 0 if finite is block else int(torch.isnan(block).sum().item())
        counted.nans += nans
        counted.infs += len(block) - len(finite) - nans
        counted.zeros += len(finite) - int(torch.count_nonzero(finite))
        counted.finite += len(finite)
        if len(finite):
            smallest, largest = torch.aminmax(finite)
            counted.low = min(counted.low, smallest.item())
            counted.high = max(counted.high, largest.item())
    size = elements.numel()
    if not counted.finite:
        return Statistics(size, zeros=0, nans=counted.nans, infs=counted.infs)
    mean, std, l1, l2 = _moments(elements, counted)
    return Statistics(
        size,
        zeros=counted.zeros,
        nans=counted.nans,
        infs=counted.infs,
        min=counted.low,
        max=counted.high,
        mean=mean,
        std=std,
        l1=l1,
        l2=l2,
    )


def _moments(elements: Tensor, counted: _Counted) -> tuple[float, float, float, float]:
    """Mean, standard deviation, l1 and l2; scaled, so that no square leaves a double's range."""
    largest = max(abs(counted.low), abs(counted.high))
    # A power of two changes no digits; of smaller ones the inverse would be infinite.
    scale = math.ldexp(1.0, max(math.frexp(largest)[1] - 1, -1000))
    total = l1 = squares = deviations = 0.0
    for block in _scaled(elements, scale):
        total += block.sum().item()
        l1 += block.abs_().sum().item()
        squares += block.square_().sum().item()
    mean = total / counted.finite
    if counted.low == counted.high:
        mean = counted.low / scale
    else:
        for block in _scaled(elements, scale):
            deviations += block.sub_(mean).square_().sum().item()
    std = math.sqrt(deviations / counted.finite)
    return mean * scale, std * scale, l1 * scale, math.sqrt(squares) * scale


def _smallest_absolute(elements: Tensor, found: Statistics) -> float | None:
    if found.min is None or found.max is None or found.min >= 0:
        return found.min
    if found.max <= 0:
        return -found.max
    smallest = math.inf
    for block in _blocks(elements):
        absolute = block.abs()
        smallest = min(smallest, absolute.where(absolute.isfinite(), math.inf).amin().item())
    return smallest
