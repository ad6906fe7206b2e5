"""Waiting for what threads and processes do by themselves."""

from __future__ import annotations

import time
from collections.abc import Callable

# What anything may take on a machine that is slow and busy.
PATIENCE_S = 120.0


def until(holds: Callable[[], object]) -> None:
    """Wait until something holds.

    Raises:
        AssertionError: it has not for two minutes.
    """
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.02)
