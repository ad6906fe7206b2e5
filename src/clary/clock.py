"""The time as jobs, logs and the service's records have it."""

from __future__ import annotations

import time


def now_ms() -> int:
    """Now, in whole milliseconds since 1970."""
    return time.time_ns() // 1_000_000
