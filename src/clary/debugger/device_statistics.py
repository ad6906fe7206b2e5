"""Statistics of large tensors on a GPU: all of a step in a few kernels.

Tensors are laid side by side in rows of 4,096 elements; rows are reduced together, and what is
left over of each tensor fills rows of its own. Rows become tensors on the CPU.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from clary.debugger.statistics import Wanted, statistics_of
from clary.debugger.transfer import Transfer
from clary.formats.tensor_log.entries import Statistics

ROW = 4096
# So much is laid side by side at a time: a copy of it is all the memory that this takes.
BYTES_AT_ONCE = 64 << 20


@dataclass(frozen=True)
class _Group:
    """Tensors that were reduced together, and how many rows each of them has."""

    names: list[str]
    sizes: list[int]
    rows: list[int]
    ticket: int


class DeviceStatistics:
    """Filled on the thread that trains, read on another one."""

    def __init__(self, transfer: Transfer) -> None:
        self._transfer = transfer
        self._waiting: dict[str, Tensor] = {}
        self._bytes = 0
        self._groups: list[_Group] = []
        self._apart: dict[str, tuple[int, Wanted]] = {}

    def add(self, name: str, elements: Tensor, wanted: Wanted) -> None:
        """Take a tensor's elements (n), which must not change before `reduce`."""
        if elements.dtype.is_complex or wanted != Wanted():
            self._apart[name] = self._transfer.add(elements), wanted
            return
        self._waiting[name] = elements
        self._bytes += elements.numel() * 4
        if self._bytes >= BYTES_AT_ONCE:
            self.reduce()

    def reduce(self) -> None:
        """Reduce what has been added so far."""
        by_device: dict[torch.device, dict[str, Tensor]] = {}
        for name, elements in self._waiting.items():
            by_device.setdefault(elements.device, {})[name] = elements
        self._waiting, self._bytes = {}, 0
        for tensors in by_device.values():
            self._groups.append(self._reduced(tensors))

    def _reduced(self, tensors: Mapping[str, Tensor]) -> _Group:
        sizes = [elements.numel() for elements in tensors.values()]
        parts: list[Tensor] = []
        for elements in tensors.values():
            # NaN marks what no element fills: it is told from a NaN of the tensor by the count.
            parts.append(elements.float())
            if elements.numel() % ROW:
                parts.append(
                    elements.new_full((-elements.numel() % ROW,), math.nan, dtype=torch.float32)
                )
        values = torch.cat(parts).view(-1, ROW)
        finite = torch.isfinite(values)
        zeroed = torch.where(finite, values, 0.0)
        nans = torch.isnan(values).sum(1)
        magnitude = zeroed.abs()
        columns = [
            torch.where(finite, values, math.inf).amin(1),
            torch.where(finite, values, -math.inf).amax(1),
            zeroed.sum(1, dtype=torch.float64),
            magnitude.sum(1, dtype=torch.float64),
            zeroed.double().square().sum(1),
            (zeroed != 0).sum(1),
            finite.sum(1),
            nans,
        ]
        table = torch.stack([column.double() for column in columns])
        rows = [-(-size // ROW) for size in sizes]
        return _Group(list(tensors), sizes, rows, self._transfer.add(table))

    def read(self, arrived: Mapping[int, Tensor]) -> dict[str, Statistics]:
        """By name, from what the transfer brought."""
        found = {
            name: statistics_of(arrived[ticket].reshape(-1), wanted)
            for name, (ticket, wanted) in self._apart.items()
        }
        for group in self._groups:
            tables = torch.split(arrived[group.ticket], group.rows, dim=1)
            for name, size, table in zip(group.names, group.sizes, tables, strict=True):
                found[name] = _statistics(table, size)
        return found


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
    return Statistics(
        size,
        zeros=int(finite - nonzeros),
        nans=int(nans),
        infs=infs,
        min=low,
        max=high,
        mean=mean,
        std=math.sqrt(max(0.0, squares / finite - mean**2)),
        l1=l1,
        l2=math.sqrt(squares),
    )
