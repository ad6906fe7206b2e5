"""Tensors on their way to the CPU: copied in few pieces, without waiting for the device."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from clary.debugger.flat import SAMPLE

Array = npt.NDArray[np.generic]


def on_cpu(tensor: Tensor) -> bool:
    """Whether its elements can be read at once; those of another device are sent for."""
    return tensor.device.type == "cpu"


@dataclass
class Transfer:
    """Filled on the thread that trains, read on another one.

    What is added must not change before `send`; what is on the CPU must not change at all.
    """

    _kept: dict[int, Tensor] = field(default_factory=dict)
    _waiting: dict[int, Tensor] = field(default_factory=dict)
    _batches: list[_Batch] = field(default_factory=list)
    _count: int = 0
    nbytes: int = 0
    waiting_bytes: int = 0
    """What is kept on a device until `send`."""

    def add(self, tensor: Tensor) -> int:
        """Take a tensor along; the ticket that gives it back."""
        ticket = self._count
        self._count += 1
        nbytes = tensor.numel() * tensor.element_size()
        self.nbytes += nbytes
        if on_cpu(tensor):
            self._kept[ticket] = tensor
        else:
            self._waiting[ticket] = tensor
            self.waiting_bytes += nbytes
        return ticket

    def send(self) -> None:
        """Start the way of all that was added."""
        groups: dict[tuple[torch.device, torch.dtype], list[int]] = {}
        for ticket, tensor in self._waiting.items():
            groups.setdefault((tensor.device, tensor.dtype), []).append(ticket)
        for (device, _), tickets in groups.items():
            tensors = [self._waiting[ticket] for ticket in tickets]
            self._batches.append(_Batch.of(device, tickets, tensors))
        self._waiting.clear()
        self.waiting_bytes = 0

    def read(self) -> dict[int, Tensor]:
        """All tensors, on the CPU; waits for those that are under way."""
        arrived = dict(self._kept)
        for batch in self._batches:
            arrived.update(batch.read())
        return arrived


@dataclass(frozen=True)
class _Batch:
    """Tensors of one device and type as one flat tensor."""

    tickets: list[int]
    shapes: list[torch.Size]
    values: Tensor
    event: torch.cuda.Event | None

    @classmethod
    def of(cls, device: torch.device, tickets: list[int], tensors: list[Tensor]) -> _Batch:
        flat = torch.cat([tensor.detach().reshape(-1) for tensor in tensors])
        shapes = [tensor.shape for tensor in tensors]
        if device.type != "cuda":
            return cls(tickets, shapes, flat.cpu(), None)
        values = torch.empty(flat.shape, dtype=flat.dtype, pin_memory=True)
        values.copy_(flat, non_blocking=True)
        event = torch.cuda.Event()  # type: ignore[no-untyped-call]
        event.record(torch.cuda.current_stream(device))
        return cls(tickets, shapes, values, event)

    def read(self) -> dict[int, Tensor]:
        if self.event is not None:
            self.event.synchronize()
        parts = torch.split(self.values, [shape.numel() for shape in self.shapes])
        # Samples are remembered until the next capture: not with all that came along with them.
        return {
            ticket: (part.clone() if part.numel() <= SAMPLE else part).view(shape)
            for ticket, part, shape in zip(self.tickets, parts, self.shapes, strict=True)
        }


def array_of(tensor: Tensor) -> Array:
    """A CPU tensor as numpy's; bfloat16 as float32, which holds it exactly."""
    if tensor.dtype == torch.bfloat16:
        tensor = tensor.float()
    array: Array = tensor.numpy()
    return array
