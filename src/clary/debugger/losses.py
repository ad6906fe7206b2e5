"""Finds losses that nobody registered: modules of `torch.nn` and functions of its `functional`.

While someone listens, loss modules are called through a method of their base class and loss
functions through wrappers; what a module calls inside is not told a second time. Compiled and
scripted code sees the originals.
"""

from __future__ import annotations

import functools
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.loss import _Loss

from clary.debugger.naming import function_name

FUNCTIONS = (
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "cosine_embedding_loss",
    "cross_entropy",
    "ctc_loss",
    "gaussian_nll_loss",
    "hinge_embedding_loss",
    "huber_loss",
    "kl_div",
    "l1_loss",
    "margin_ranking_loss",
    "mse_loss",
    "multi_margin_loss",
    "multilabel_margin_loss",
    "multilabel_soft_margin_loss",
    "nll_loss",
    "poisson_nll_loss",
    "smooth_l1_loss",
    "soft_margin_loss",
    "triplet_margin_loss",
    "triplet_margin_with_distance_loss",
)

# Told the loss's name, its value and, of a module, its inputs.
Listener = Callable[[str, Any, tuple[Any, ...]], None]

_listeners: list[Listener] = []
_lock = threading.RLock()
_inside = threading.local()
_originals: dict[str, Callable[..., Any]] = {}


def listen(listener: Listener) -> None:
    """Tell a listener of every loss from now on, on the thread that computes it."""
    with _lock:
        _listeners.append(listener)
        if len(_listeners) == 1:
            _install()


def stop_listening(listener: Listener) -> None:
    """Tell it nothing more; a second time does nothing."""
    with _lock:
        if listener in _listeners:
            _listeners.remove(listener)
            if not _listeners:
                _uninstall()


def enter() -> None:
    """What is computed from now on is part of something that is told itself."""
    _inside.depth = getattr(_inside, "depth", 0) + 1


def leave() -> None:
    """It is computed; to be called once for each `enter`."""
    _inside.depth = max(0, getattr(_inside, "depth", 0) - 1)


@contextmanager
def _told_as_one() -> Iterator[None]:
    enter()
    try:
        yield
    finally:
        leave()


def _tell(name: str, value: Any, inputs: tuple[Any, ...]) -> None:
    if getattr(_inside, "depth", 0) == 0:
        for listener in tuple(_listeners):
            listener(name, value, inputs)


def _install() -> None:
    # An attribute of this class only: other modules keep torch's own fast call.
    _Loss.__call__ = _call_loss  # type: ignore[method-assign]
    main = sys.modules.get("__main__")
    for name in FUNCTIONS:
        original = getattr(functional, name)
        _originals[name] = original
        _replace(original, _watched(name, original), functional, main)


def _uninstall() -> None:
    if "__call__" in vars(_Loss):
        del _Loss.__call__
    main = sys.modules.get("__main__")
    for name, original in _originals.items():
        _replace(getattr(functional, name), original, functional, main)
    _originals.clear()


def _replace(old: Callable[..., Any], new: Callable[..., Any], *modules: ModuleType | None) -> None:
    """Also where a script has imported a function by its name."""
    for module in modules:
        for name, value in list(vars(module).items()) if module is not None else ():
            if value is old:
                setattr(module, name, new)


def _call_loss(self: nn.Module, *args: Any, **kwargs: Any) -> Any:
    if torch.compiler.is_compiling():
        return nn.Module.__call__(self, *args, **kwargs)
    with _told_as_one():
        value = nn.Module.__call__(self, *args, **kwargs)
    _tell(self.__class__.__name__, value, args)
    return value


def _watched(name: str, original: Callable[..., Any]) -> Callable[..., Any]:
    told = function_name(name)

    @functools.wraps(original)
    def watched(*args: Any, **kwargs: Any) -> Any:
        if torch.compiler.is_compiling():
            return original(*args, **kwargs)
        with _told_as_one():
            value = original(*args, **kwargs)
        if isinstance(value, Tensor):
            _tell(told, value, ())
        return value

    # torch.jit.script compiles what this gives.
    watched.__prepare_scriptable__ = lambda: original  # type: ignore[attr-defined]
    return watched
