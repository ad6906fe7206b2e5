"""Where a model computes, and in which precision it gains there."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Literal, TypeVar

import torch

from clary.errors import UsageError
from clary.formats.text import counted
from clary.formats.training_options import Precision
from clary.processor import emulates_bf16, lacks_bf16

Network = TypeVar("Network", bound=torch.nn.Module)


@dataclass(frozen=True)
class Hardware:
    """A device, the precision of its matrix products, and the layout its convolutions like."""

    device: torch.device
    bf16: bool
    channels_last: bool
    name: str

    @property
    def precision(self) -> Literal["bf16", "fp32"]:
        """`bf16` or `fp32`."""
        return "bf16" if self.bf16 else "fp32"

    @property
    def memory_format(self) -> torch.memory_format:
        """The layout of pictures and convolution weights."""
        return torch.channels_last if self.channels_last else torch.contiguous_format

    def placed(self, network: Network) -> Network:
        """The network moved to the device, in the layout that its convolutions like."""
        return network.to(self.device).to(memory_format=self.memory_format)

    def autocast(self) -> AbstractContextManager[None]:
        """Compute in bf16 where that is chosen; weights and losses stay in fp32."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16)


def choose_hardware(precision: Precision = "auto", local_rank: int = 0) -> Hardware:
    """Choose the device and its precision.

    `auto` means bf16 on a GPU that computes in it and on a CPU with AVX512_BF16 or AMX
    instructions (there it is 2 to 4 times as fast, with channels_last), fp32 elsewhere.

    Raises:
        UsageError: bf16 is asked for where it would be emulated, many times slower than fp32.
    """
    device = choose_device()
    if device.type == "cuda":
        device = torch.device("cuda", local_rank % torch.cuda.device_count())
    native = require_precision(precision, device)
    bf16 = native and precision != "fp32"
    return Hardware(device=device, bf16=bf16, channels_last=True, name=_name(device))


def choose_device(name: str | None = None) -> torch.device:
    """The device of a name such as `cpu`, `cuda` or `cuda:1`; by default a GPU when there is one.

    Raises:
        UsageError: there is no such device here.
    """
    if name is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    kind, _, number = name.partition(":")
    if kind == "cpu" and not number:
        return torch.device("cpu")
    if kind != "cuda" or (":" in name and not number.isdecimal()):
        raise UsageError(f"--device is {name!r}: give cpu, cuda or cuda:N")
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if int(number or 0) >= count:
        usable = f"cuda:0 to cuda:{count - 1}, or cpu" if count else "cpu"
        plural = "" if count == 1 else "s"
        raise UsageError(
            f"--device is {name} but torch finds {count} GPU{plural} here: give {usable}"
        )
    return torch.device(name)


def require_precision(precision: Precision, device: torch.device) -> bool:
    """Whether a device has bf16 instructions of its own.

    Raises:
        UsageError: bf16 is asked for where it would be emulated, many times slower than fp32.
    """
    if device.type == "cuda":
        native = bool(torch.cuda.is_bf16_supported(including_emulation=False))
    else:
        # Torch says yes to every processor with AVX-512, and emulates bf16 where that is all.
        native = bool(torch.ops.mkldnn._is_mkldnn_bf16_supported()) and not emulates_bf16()
    if precision == "bf16" and not native:
        raise lacks_bf16(_name(device))
    return native


def _name(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"CPU, {counted(torch.get_num_threads(), 'thread')}"
