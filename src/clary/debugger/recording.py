"""What is seen at one step, from the training's thread to the writer's.

On the thread that trains only what cannot wait is done: large tensors are reduced where they lie,
small ones and samples are copied. `Reading` does the rest on the writer's thread.
"""

from __future__ import annotations

import weakref
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from clary.debugger.device_statistics import BYTES_AT_ONCE, DeviceStatistics
from clary.debugger.distribution import Updates, histogram_of
from clary.debugger.flat import flat, sample_of
from clary.debugger.naming import Indices
from clary.debugger.reductions import Reductions
from clary.debugger.selection import Selection
from clary.debugger.small_tensors import SMALL, statistics_of_small
from clary.debugger.statistics import Wanted, statistics_of
from clary.debugger.transfer import Array, Transfer, array_of, on_cpu
from clary.debugger.units import units_of
from clary.formats.tensor_log.entries import (
    Capture,
    RawTensor,
    Statistics,
    Step,
    UnitKind,
)

# A tensor of at most so many elements is kept whole, whatever is asked: it costs nothing.
SCALAR = 1
# Bytes, such as the losses of a batch of pictures. Those of their pixels are more.
WHOLE_LOSSES = 4096
STATISTICS = Reductions()


@dataclass
class _Seen:
    """Of one tensor: tickets of the transfer, where there is one."""

    size: int
    statistics: Statistics | None = None
    wanted: Wanted | None = None
    elements: int | None = None
    sample: int | None = None
    update: bool = False
    histogram: bool = False


@dataclass
class Recording:
    """One step. Filled on the thread that trains, then given away."""

    step: Step
    selection: Selection
    indices: Indices = field(default_factory=Indices)
    members: dict[str, set[str]] = field(default_factory=dict)
    """Names of tensors that belong to collections whatever their names, by collection."""

    def __post_init__(self) -> None:
        self._closed = False
        self._told: dict[str, list[weakref.ref[Tensor]]] = {}
        self.learns = False
        self._transfer = Transfer()
        self._device = DeviceStatistics(self._transfer)
        self._scalars: dict[str, float] = {}
        self._device_scalars: dict[str, int] = {}
        self._seen: dict[str, _Seen] = {}
        self._raw: dict[str, int] = {}
        self._units: dict[str, dict[UnitKind, int]] = {}
        self._shapes: dict[str, tuple[int, ...]] = {}

    @property
    def nbytes(self) -> int:
        """What it holds on the CPU, about."""
        return self._transfer.nbytes

    def scalar(self, name: str, value: float) -> None:
        """Keep a number."""
        self._scalars[name] = value

    def told(self, name: str) -> int:
        """How many losses it was told under this name."""
        return len(self._told.get(name, ()))

    def tell(self, name: str, value: Tensor) -> bool:
        """Note that it is told of a loss; False when it was told of this very tensor before."""
        known = self._told.setdefault(name, [])
        if any(told() is value for told in known):
            return False
        known.append(weakref.ref(value))
        self.learns = self.learns or value.requires_grad
        return True

    def loss(self, name: str, value: Tensor, reductions: Reductions = STATISTICS) -> None:
        """Keep a loss as a number; of the losses of a batch their mean, and what they are like.

        Few losses are kept whole besides, many where that is asked for.
        """
        if self._closed or not holds_values(value):
            return
        value = value.detach()
        if value.numel() != SCALAR:
            whole = reductions.raw or value.numel() * value.element_size() <= WHOLE_LOSSES
            self.tensor(name, value, replace(reductions, raw=whole))
            self.send()
            if not value.numel():
                return
            value = value.mean(dtype=torch.promote_types(value.dtype, torch.float32))
        if on_cpu(value):
            self._scalars[name] = value.item()
        else:
            self._device_scalars[name] = self._transfer.add(value.float().reshape(1).clone())

    def tensor(
        self,
        name: str,
        tensor: Tensor,
        reductions: Reductions,
        *,
        update: bool = False,
        histogram: bool = False,
    ) -> None:
        """Keep what is asked for of a tensor.

        Args:
            name: the tensor's.
            tensor: it must not change before `send` where it is not on the CPU.
            reductions: what is asked for.
            update: how far it is from where it was at the capture before.
            histogram: also where none is asked for.
        """
        if self._closed or not holds_values(tensor):
            return
        tensor = tensor.detach()
        if reductions.shapes:
            self._shapes[name] = tuple(tensor.shape)
            return
        elements = flat(tensor)
        if reductions.raw:
            self._raw[name] = self._transfer.add(_held(tensor))
        histogram = histogram or reductions.histogram
        seen = _Seen(elements.numel(), update=update, histogram=histogram)
        seen.wanted = Wanted(reductions.product, reductions.smallest_absolute)
        if seen.size <= SMALL and not elements.dtype.is_complex:
            seen.elements = seen.sample = self._transfer.add(_held(elements))
        else:
            if on_cpu(elements):
                seen.statistics = statistics_of(elements, seen.wanted)
            else:
                self._device.add(name, elements, seen.wanted)
            if update or histogram:
                whole = update and reductions.exact_updates
                seen.sample = self._transfer.add(
                    _held(elements if whole else sample_of(elements).contiguous())
                )
        self._seen[name] = seen
        if self._transfer.waiting_bytes >= BYTES_AT_ONCE:
            self.send()

    def holds(self, name: str) -> bool:
        """Whether it has seen a tensor of this name."""
        return name in self._seen or name in self._shapes

    def units(self, name: str, kind: UnitKind, tensor: Tensor, module: nn.Module) -> None:
        """Keep numbers per channel or picture."""
        if self._closed or not holds_values(tensor):
            return
        found = units_of(kind, tensor, module)
        if found is not None:
            self._units.setdefault(name, {})[kind] = self._transfer.add(found)

    def belongs(self, name: str, collection: str) -> None:
        """Note that a tensor belongs to a collection whatever its name."""
        self.members.setdefault(collection, set()).add(name)

    def send(self) -> None:
        """Start the way to the CPU of all that was added."""
        if self._closed:
            return
        self._device.reduce()
        self._transfer.send()

    def close(self) -> None:
        """Take nothing more: what still calls belongs to an earlier step, or to a copy."""
        self.send()
        self._closed = True

    def capture(self, updates: Updates) -> Capture:
        """Read it, on the writer's thread; waits for the device."""
        arrived = self._transfer.read()
        arrays = {ticket: array_of(tensor) for ticket, tensor in arrived.items()}
        small = {
            name: (arrays[seen.elements].ravel(), seen.wanted)
            for name, seen in self._seen.items()
            if seen.elements is not None and seen.wanted is not None
        }
        statistics = {
            **{name: seen.statistics for name, seen in self._seen.items() if seen.statistics},
            **self._device.read(arrived),
            **statistics_of_small(small),
        }
        for name, seen in self._seen.items():
            if seen.sample is None:
                continue
            sample = arrays[seen.sample]
            if seen.update:
                norm = updates.norm(name, sample, seen.size)
                statistics[name] = replace(statistics[name], update_l2=norm)
            if seen.histogram:
                histogram = histogram_of(sample)
                statistics[name] = replace(statistics[name], histogram=histogram)
        scalars = {name: float(arrays[ticket][0]) for name, ticket in self._device_scalars.items()}
        return Capture(
            self.step,
            scalars={**self._scalars, **scalars},
            statistics=statistics,
            units={
                name: {kind: arrays[ticket].astype(np.float32) for kind, ticket in kinds.items()}
                for name, kinds in self._units.items()
            },
            raw={name: _raw_of(arrived[ticket]) for name, ticket in self._raw.items()},
            shapes=self._shapes,
        )


def holds_values(tensor: Tensor) -> bool:
    """Whether elements can be read: not of one that is to be shaped yet, or stands for another."""
    return not (
        tensor.is_meta
        or is_lazy(tensor)
        or type(tensor).__torch_dispatch__ is not Tensor.__torch_dispatch__
    )


def _held(tensor: Tensor) -> Tensor:
    """Safe from changes: a copy where it is on the CPU."""
    return tensor.clone() if on_cpu(tensor) else tensor


def _raw_of(tensor: Tensor) -> RawTensor:
    tensor = tensor.contiguous()
    shape = tuple(tensor.shape)
    if tensor.dtype == torch.bfloat16:
        return RawTensor("bfloat16", shape, _bytes_of(tensor.view(torch.int16).numpy()))
    array = tensor.numpy()
    return RawTensor(array.dtype.name, shape, _bytes_of(array))


def _bytes_of(array: Array) -> bytes | memoryview:
    return array.reshape(-1).view(np.uint8).data if array.size else b""
