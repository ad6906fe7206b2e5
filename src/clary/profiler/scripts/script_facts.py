"""What is learned of a script from what it hands to torch."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from clary.errors import ClaryError
from clary.formats.profiler_configuration import ProfilerConfiguration
from clary.profiler.recording.process import device_name
from clary.profiler.recording.telling import say
from clary.profiler.scripts.torch_watch import Call


def label_of(target: Any) -> str:
    """Name and size of what was saved; empty for what is no file, or has been moved away since."""
    if isinstance(target, (str, os.PathLike)):
        # Of bytes, no path is made.
        with suppress(OSError, TypeError):
            path = Path(target)
            return f"{path.name}, {path.stat().st_size / 1e6:.1f} MB"
    return ""


def loss_of(call: Call) -> torch.Tensor | None:
    """The first loss of a call of `torch.autograd.backward`; None where that is not to be seen.

    Of what can be taken from only once, such as a generator, nothing is taken.
    """
    args, kwargs = call
    losses = args[0] if args else kwargs.get("tensors")
    loss = losses[0] if isinstance(losses, (list, tuple)) and losses else losses
    return loss if isinstance(loss, torch.Tensor) else None


def device_facts(optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """Fields of `Facts`: where the first parameter of an optimizer is.

    Raises:
        LookupError: it has none.
    """
    device = optimizer.param_groups[0]["params"][0].device
    return {"device": device_name(device), "threads": torch.get_num_threads()}


def initial_configuration(file: Path | None) -> ProfilerConfiguration:
    """What the file says; where it cannot be used, times are recorded nevertheless."""
    if file is None or not file.exists():
        return ProfilerConfiguration()
    try:
        return ProfilerConfiguration.read(file)
    except ClaryError as error:
        say(f"{error}; steps are recorded as if nothing were configured")
        return ProfilerConfiguration()
