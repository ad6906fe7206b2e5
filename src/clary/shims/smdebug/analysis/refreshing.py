"""Whether trials look for new data by themselves."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def no_refresh(trials: Any) -> Iterator[None]:
    """Let one trial or several stay as they are, for a block: nothing new appears within it."""
    with _set(trials, dynamic=False):
        yield


@contextmanager
def refresh(trials: Any) -> Iterator[None]:
    """Let one trial or several look for new data, for a block."""
    with _set(trials, dynamic=True):
        yield


@contextmanager
def _set(trials: Any, *, dynamic: bool) -> Iterator[None]:
    held = list(trials) if isinstance(trials, Iterable) else [trials]
    before = [trial.dynamic_refresh for trial in held]
    for trial in held:
        trial.dynamic_refresh = dynamic
    try:
        yield
    finally:
        for trial, was in zip(held, before, strict=True):
            trial.dynamic_refresh = was
