"""From the counter that times steps to moments since 1970."""

from __future__ import annotations

import time

ADJUSTED_NS = 50_000_000


class Clock:
    """Places moments of `time.perf_counter_ns` among those of the machine's other records.

    Durations come from the counter, which never jumps. Where it stands beside the wall clock is
    looked at again now and then: the counter stands still while a machine sleeps, and the wall
    clock may be set.
    """

    def __init__(self) -> None:
        self._offset_ns = time.time_ns() - time.perf_counter_ns()

    def since_1970_us(self, at_ns: int) -> int:
        """Microseconds since 1970 of a moment of the counter."""
        return (at_ns + self._offset_ns) // 1000

    def adjust(self) -> None:
        """Follow the wall clock where it has left the counter by more than a slew."""
        offset_ns = time.time_ns() - time.perf_counter_ns()
        if abs(offset_ns - self._offset_ns) > ADJUSTED_NS:
            self._offset_ns = offset_ns
