"""Statistics of large tensors on a GPU: all of a step in a few kernels.

Tensors are laid side by side in rows of 4,096 elements; rows are reduced together, some millions
of elements at a time, and what is left over of each tensor fills rows of its own. Rows become
tensors on the CPU.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from clary.debugger.statistics import Wanted, statistics_of
from clary.debugger.transfer import Transfer
from clary.formats.tensor_log.entries import Statistics

ROW = 4096
# So much is laid side by side at a time. Reducing it takes about six times as much.
BYTES_AT_ONCE = 16 << 20


@dataclass(frozen=True)
class _Group:
    """Tensors, or parts of them, that were reduced together, and their rows."""

    names: list[str]
    rows: list[int]
    ticket: int


class DeviceStatistics:
    """Filled on the thread that trains, read on another one."""

    def __init__(self, transfer: Transfer) -> None:
        self._transfer = transfer
        self._waiting: list[tuple[str, Tensor]] = []
        self._bytes = 0
        self._sizes: dict[str, int] = {}
        self._groups: list[_Group] = []
        self._apart: dict[str, tuple[int, Wanted]] = {}

    def add(self, name: str, elements: Tensor, wanted: Wanted) -> None:
        """Take a tensor's elements (n), which must not change before `reduce`."""
        if elements.dtype.is_complex or wanted != Wanted():
            self._apart[name] = self._transfer.add(elements), wanted
            return
        self._sizes[name] = elements.numel()
        width = _kept_as(elements).itemsize
        # In whole rows, so that none but a tensor's last part leaves one unfilled.
        for part in torch.split(elements, BYTES_AT_ONCE // width // ROW * ROW):
            if self._waiting and self._bytes + part.numel() * width > BYTES_AT_ONCE:
                self.reduce()
            self._waiting.append((name, part))
            self._bytes += part.numel() * width

    def reduce(self) -> None:
        """Reduce what has been added so far."""
        alike: dict[tuple[torch.device, torch.dtype], list[tuple[str, Tensor]]] = {}
        for name, part in self._waiting:
            alike.setdefault((part.device, _kept_as(part)), []).append((name, part))
        self._waiting, self._bytes = [], 0
        for (_, dtype), parts in alike.items():
            names = [name for name, _ in parts]
            rows = [-(-part.numel() // ROW) for _, part in parts]
            table = _reduced(_side_by_side([part for _, part in parts], dtype))
            self._groups.append(_Group(names, rows, self._transfer.add(table)))

    def read(self, arrived: Mapping[int, Tensor]) -> dict[str, Statistics]:
        """By name, from what the transfer brought."""
        found = {
            name: statistics_of(arrived[ticket].reshape(-1), wanted)
            for name, (ticket, wanted) in self._apart.items()
        }
        tables: dict[str, list[Tensor]] = {name: [] for name in self._sizes}
        for group in self._groups:
            parts = torch.split(arrived[group.ticket], group.rows, dim=1)
            for name, table in zip(group.names, parts, strict=True):
                tables[name].append(table)
        for name, size in self._sizes.items():
            found[name] = _statistics(torch.cat(tables[name], dim=1), size)
        return found


def _kept_as(elements: Tensor) -> torch.dtype:
    return torch.float64 if elements.dtype == torch.float64 else torch.float32


def _side_by_side(parts: Sequence[Tensor], dtype: torch.dtype) -> Tensor:
    """In rows; NaN marks what no element fills, which is told from a tensor's own by the count."""
    filled: list[Tensor] = []
    for part in parts:
        filled.append(part.to(dtype))
        if part.numel() % ROW:
            filled.append(part.new_full((-part.numel() % ROW,), math.nan, dtype=dtype))
    whole = filled[0] if len(filled) == 1 else torch.cat(filled)
    return whole.view(-1, ROW)


def _reduced(values: Tensor) -> Tensor:
    """A column for each row, as `_statistics` reads it."""
    finite = torch.isfinite(values)
    low = torch.where(finite, values, math.inf).amin(1)
    high = torch.where(finite, values, -math.inf).amax(1)
    nans = torch.isnan(values).sum(1)
    zeroed = torch.where(finite, values, 0.0)
    nonzeros, count = torch.count_nonzero(zeroed, 1), finite.sum(1)
    del finite
    total = zeroed.sum(1, dtype=torch.float64)
    # Squares of float32 leave its range, those in double precision do not.
    doubles = zeroed.to(torch.float64, copy=True)
    del zeroed
    l1 = doubles.abs_().sum(1)
    squares = doubles.square_().sum(1)
    columns = [low, high, total, l1, squares, nonzeros, count, nans]
    return torch.stack([column.double() for column in columns])


def _statistics(table: Tensor, size: int) -> Statistics:
    if not size:
        return Statistics(0, zeros=0, nans=0, infs=0)
    low, high = table[0].min().item(), table[1].max().item()
    total, l1, squares, nonzeros, finite, nans = table[2:].sum(1).tolist()
    nans -= table.shape[1] * ROW - size
    infs = int(size - finite - nans)
    if not finite:
        return Statistics(size, zeros=0, nans=int(nans), infs=infs)
    mean = total / finite
    # Of doubles over about 1e150 the squares are infinite: their norm is not known here.
    held = math.isfinite(squares)
    variance = squares / finite - mean * mean if held else 0.0
    return Statistics(
        size,
        zeros=int(finite - nonzeros),
        nans=int(nans),
        infs=infs,
        min=low,
        max=high,
        mean=mean,
        std=_spread(low, high, variance) if held else None,
        l1=l1,
        l2=math.sqrt(squares) if held else None,
    )


def _spread(low: float, high: float, variance: float) -> float:
    """Of equal values none, whatever rounding says."""
    return 0.0 if low == high else math.sqrt(max(0.0, variance))
