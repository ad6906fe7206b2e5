"""How many cores there are to work with."""

from __future__ import annotations

import math
import os
from collections.abc import MutableMapping
from functools import cache

from clary.cgroups import cgroup_limits

THREADS = "OMP_NUM_THREADS"


def usable_cores() -> int:
    """How many cores this process may use, at least 1."""
    return whole_cores(visible_cores(), _allowed_cores())


def visible_cores() -> int:
    """How many cores the system shows this process, as libraries count them, at least 1.

    They know nothing of control groups: in a container that may use 2 of 64 cores it is 64.
    """
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return os.cpu_count() or 1


def whole_cores(visible: int, allowed: float | None) -> int:
    """How many threads keep those cores busy that a control group leaves.

    Two threads get more out of one and a half cores than one.

    Args:
        visible: cores that the system shows.
        allowed: how many of them a control group allows; None for all.
    """
    return visible if allowed is None else max(1, min(visible, math.ceil(allowed)))


def limit_threads(environment: MutableMapping[str, str], threads: int) -> None:
    """Have libraries compute on so many threads, where by themselves they would take more.

    Args:
        environment: of a process that has not loaded them yet; what it says already goes first.
        threads: at least 1.
    """
    if threads < visible_cores():
        environment.setdefault(THREADS, str(threads))


@cache
def _allowed_cores() -> float | None:
    return cgroup_limits().cores
