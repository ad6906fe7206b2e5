"""Sees what a training asks of torch itself: gradients, updates, copies to a device, saving."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Mapping
from time import perf_counter_ns
from types import FrameType
from typing import Any

import torch
from torch.optim import optimizer as optimizers

from clary.profiler.scripts.patching import Patches, leave_uncompiled

Call = tuple[tuple[Any, ...], Mapping[str, Any]]
"""Arguments by position and by name."""


class TorchEvents:
    """What is told of torch: a base with empty methods.

    None of them may raise, whatever they are given does when it is asked.

    Where a beginning gives False it concerns nobody, and its end is not told.
    """

    awaits_transfer: bool = False
    """Whether a batch is there, and may be copied to a device."""

    def backward_begins(self, call: Call) -> bool:
        """Gradients are about to be computed, by such a call of `torch.autograd.backward`."""
        return False

    def backward_ends(self) -> None:
        """They are there."""

    def update_begins(self, optimizer: Any, *, closure: bool = False) -> bool:
        """An optimizer is called, or what calls one; perhaps with what computes its gradients."""
        return False

    def update_ends(self, optimizer: Any) -> None:
        """It is done; told also where its beginning concerned nobody."""

    def transfer_begins(self) -> bool:
        """A tensor is about to be copied to a device."""
        return False

    def transfer_ends(self) -> None:
        """The copy was asked for."""

    def saved(self, start_ns: int, target: Any) -> None:
        """`torch.save` has written to `target`, from `start_ns` until now."""


Events = Callable[[], "TorchEvents | None"]
_Function = Callable[..., Any]


def watch_torch(patches: Patches, events: Events) -> Callable[[], None]:
    """Tell of what this process and those it forks ask of torch.

    Args:
        patches: undo what is changed.
        events: gives whom to tell; None: nobody for now.

    Returns:
        What takes away that which `patches` does not undo.
    """
    patches.wrap(torch.autograd, "backward", functools.partial(_backward, events))
    patches.wrap(torch.amp.GradScaler, "step", functools.partial(_update, events))
    patches.wrap(torch.serialization, "save", functools.partial(_save, events))
    # One function by two names: it is pickled by the one, and called by the other.
    patches.wrap(torch, "save", lambda _: torch.serialization.save)
    if torch.version.cuda or torch.version.hip:
        for name in ("to", "cuda"):
            patches.wrap(torch.Tensor, name, functools.partial(_transfer, events))

    def begins(optimizer: Any, args: Any, kwargs: Any) -> None:
        told = events()
        if told is not None:
            told.update_begins(optimizer, closure=len(args) > 1 or "closure" in kwargs)

    def ends(optimizer: Any, args: Any, kwargs: Any) -> None:
        told = events()
        if told is not None:
            told.update_ends(optimizer)

    for hook in (begins, ends):
        leave_uncompiled(hook, with_all_it_calls=True)
    handles = (
        optimizers.register_optimizer_step_pre_hook(begins),
        optimizers.register_optimizer_step_post_hook(ends),
    )

    def remove() -> None:
        for handle in handles:
            handle.remove()

    return remove


def hooked_steps() -> int:
    """How many calls of optimizers the calling thread is within: `step` may call its parent's."""
    calls = 0
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        code = frame.f_code
        calls += code.co_name == "wrapper" and code.co_filename == optimizers.__file__
        frame = frame.f_back
    return calls


def _backward(events: Events, original: _Function) -> _Function:
    @functools.wraps(original)
    def backward(*args: Any, **kwargs: Any) -> Any:
        told = events()
        if told is None or not told.backward_begins((args, kwargs)):
            return original(*args, **kwargs)
        try:
            return original(*args, **kwargs)
        finally:
            told.backward_ends()

    return backward


def _update(events: Events, original: _Function) -> _Function:
    @functools.wraps(original)
    def update(self: Any, *args: Any, **kwargs: Any) -> Any:
        told = events()
        if told is None or not told.update_begins(self):
            return original(self, *args, **kwargs)
        try:
            return original(self, *args, **kwargs)
        finally:
            told.update_ends(self)

    return update


def _save(events: Events, original: _Function) -> _Function:
    @functools.wraps(original)
    def save(*args: Any, **kwargs: Any) -> Any:
        began = perf_counter_ns()
        try:
            return original(*args, **kwargs)
        finally:
            told = events()
            if told is not None:
                told.saved(began, args[1] if len(args) > 1 else kwargs.get("f"))

    return save


def _transfer(events: Events, original: _Function) -> _Function:
    method = original.__name__

    @functools.wraps(original)
    def transfer(*args: Any, **kwargs: Any) -> Any:
        told = events()
        if (
            told is None
            or not told.awaits_transfer
            or not _goes_to_device(method, args, kwargs)
            or not told.transfer_begins()
        ):
            return original(*args, **kwargs)
        try:
            return original(*args, **kwargs)
        finally:
            told.transfer_ends()

    return transfer


def _goes_to_device(method: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bool:
    """Whether a call of `Tensor.to` or `Tensor.cuda` copies to a GPU from elsewhere."""
    try:
        tensor, *rest = args
        return not tensor.is_cuda and (method == "cuda" or _is_gpu(rest, kwargs))
    except Exception:  # noqa: BLE001 - it may be a tensor of the user's own kind, or none
        return False


def _is_gpu(args: list[Any], kwargs: Mapping[str, Any]) -> bool:
    target = kwargs.get("device", args[0] if args else kwargs.get("other"))
    if isinstance(target, torch.Tensor):
        return target.is_cuda
    if isinstance(target, torch.device):
        return target.type == "cuda"
    return isinstance(target, int) or (isinstance(target, str) and target.startswith("cuda"))
