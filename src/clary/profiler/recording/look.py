"""What looking into steps is, however it is done."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from clary.profiler.recording.timeline_thread import Work


class StepsSeen(NamedTuple):
    """Steps of the training that a look has seen; `first` is after `last` where it saw none."""

    first: int
    last: int
    start_us: int
    seconds: float


class Look(Protocol):
    """One way of looking into steps. The thread that trains starts and stops it, once each."""

    def start(self) -> str | None:
        """Begin; a sentence where that cannot be, as someone else looks in this way already."""

    def stop(self, steps: StepsSeen) -> Work:
        """End; gives what the thread that writes is to do with it."""
