"""Waiting for what threads and processes do by themselves."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

# What anything may take on a machine that is slow and busy.
PATIENCE_S = 120.0
# Longer than anything is waited for: who waits that long has failed.
NEVER_S = 2 * PATIENCE_S

Found = TypeVar("Found")


def until(
    holds: Callable[[], Found | None],
    seen: Callable[[], object] = lambda: "it did not come about",
    *,
    pause_s: float = 0.02,
) -> Found:
    """Wait until something holds, and give what it gave.

    Args:
        holds: asked again and again; true when there is no more to wait for.
        seen: what to tell of the matter when time is up.
        pause_s: between two questions, in seconds.

    Raises:
        AssertionError: it has not held for two minutes.
    """
    deadline = time.monotonic() + PATIENCE_S
    while True:
        found = holds()
        if found:
            return found
        assert time.monotonic() < deadline, seen()
        time.sleep(pause_s)
