"""How long an accelerator works in each phase, by its own events and without waiting for it.

An event is put into the device's queue where a phase begins and where one ends; the device notes
the time when it comes to it. They are read when the device is long past them. Everything happens
on the thread that trains: to ask for an event from another one disturbs the capture of a graph.
"""

from __future__ import annotations

import math
import sys
import time
from collections import deque
from collections.abc import Callable
from itertools import pairwise
from typing import Any, Generic, Protocol, TypeVar

from clary.formats.timeline import PHASES

# Beyond, a step is kept without the device's times: the device is that far behind.
WAITING_STEPS = 256
POOLED_EVENTS = 4096
SECONDS_TO_SETTLE = 2.0

NO_PHASE = -1


class Event(Protocol):
    """As `torch.cuda.Event(enable_timing=True)`."""

    def record(self) -> None:
        """Put it into the queue of the current stream."""

    def query(self) -> bool:
        """Whether the device has come to it."""

    def elapsed_time(self, later: Any) -> float:
        """Milliseconds between it and a later one."""


class Device(Protocol):
    """What is asked of an accelerator."""

    def is_in_use(self) -> bool:
        """Whether the training uses it."""

    def is_capturing(self) -> bool:
        """Whether its current stream records a graph in place of computing."""

    def make_event(self) -> Event:
        """An event of the device that is current."""


class Cuda:
    """CUDA, or what torch calls so; it is neither loaded nor initialized for being watched."""

    def is_in_use(self) -> bool:
        """Whether torch has initialized it."""
        torch = sys.modules.get("torch")
        return torch is not None and bool(torch.cuda.is_initialized())

    def is_capturing(self) -> bool:
        """Whether the current stream records a graph."""
        return bool(sys.modules["torch"].cuda.is_current_stream_capturing())

    def make_event(self) -> Event:
        """An event that notes the time."""
        event: Event = sys.modules["torch"].cuda.Event(enable_timing=True)
        return event


Mark = tuple[Event, int]
"""An event, and the phase that begins with it: its place in `PHASES`, or `NO_PHASE`."""

_Step = TypeVar("_Step")


class DeviceTimes(Generic[_Step]):
    """Marks phases on a device, and gives steps with their times, in order, once they are known.

    Args:
        device: whose times they are.
        settled: given a step and seconds for each of `PHASES`, NaN where nothing was measured.
    """

    def __init__(
        self,
        device: Device,
        settled: Callable[[_Step, list[float]], None],
    ) -> None:
        self._device = device
        self._settled = settled
        self._in_use = False
        self._pool: list[Event] = []
        self._marks: list[Mark] = []
        self._waiting: deque[tuple[_Step, list[Mark]]] = deque()

    def begin_step(self) -> None:
        """What was marked since the last step belongs to none."""
        self._in_use = self._device.is_in_use()
        if self._marks:
            self._give_back(self._marks)
            self._marks = []

    def mark(self, phase: int) -> None:
        """A phase begins, or, with `NO_PHASE`, the last one is over."""
        # An event within a graph that is captured is part of it, and can never be asked.
        if self._in_use and not self._device.is_capturing():
            event = self._pool.pop() if self._pool else self._device.make_event()
            event.record()
            self._marks.append((event, phase))

    def step_ended(self, step: _Step) -> None:
        """Keep a step until its times are known; give those that have become so."""
        self._waiting.append((step, self._marks))
        self._marks = []
        while self._waiting:
            _, marks = self._waiting[0]
            if marks and not marks[-1][0].query() and len(self._waiting) <= WAITING_STEPS:
                return
            self._settle()

    def close(self) -> None:
        """Give all steps, those too whose times the device does not know in time."""
        until = time.monotonic() + SECONDS_TO_SETTLE
        while self._waiting:
            _, marks = self._waiting[0]
            while marks and not marks[-1][0].query() and time.monotonic() < until:
                time.sleep(0.001)
            self._settle()

    def _settle(self) -> None:
        step, marks = self._waiting.popleft()
        seconds = [math.nan] * len(PHASES)
        if len(marks) > 1 and marks[-1][0].query():
            for (event, phase), (later, _) in pairwise(marks):
                if phase != NO_PHASE:
                    before = 0.0 if math.isnan(seconds[phase]) else seconds[phase]
                    seconds[phase] = before + event.elapsed_time(later) / 1e3
        self._give_back(marks)
        self._settled(step, seconds)

    def _give_back(self, marks: list[Mark]) -> None:
        if len(self._pool) < POOLED_EVENTS:
            self._pool += [event for event, _ in marks]
