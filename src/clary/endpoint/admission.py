"""How many invocations may be under way: what fits no more is refused at once, and told when.

A server that lets everybody in answers nobody in time. Two bounds hold: how many may wait, and
whether one more could be answered before its deadline at the pace of late.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from clary.endpoint.invocation import Refusal

# What SageMaker's PyTorch container lets wait.
_WAITING = 100
_WAITING_ROUNDS = 4
# How much of the pace the last answer is.
_SHARE = 1 / 32
_LONGEST_RETRY_S = 30


class Admission:
    """Counts invocations in and out. For one event loop."""

    def __init__(self, capacity: Callable[[], int], waiting: int | None) -> None:
        """Begin with nothing under way.

        Args:
            capacity: how many are worked on at once; asked each time.
            waiting: how many more may wait; as fits the capacity when None.
        """
        self._capacity = capacity
        self._waiting = waiting
        self._in_flight = 0
        # Seconds between two answers while all are at work; None before that was seen.
        self._interval_s: float | None = None
        self._last_answer: float | None = None

    @property
    def in_flight(self) -> int:
        """How many are waiting or worked on."""
        return self._in_flight

    @property
    def waiting(self) -> int:
        """How many of them wait for a turn."""
        return max(0, self._in_flight - self._capacity())

    @property
    def bound(self) -> int:
        """How many may wait."""
        if self._waiting is not None:
            return self._waiting
        return max(_WAITING, _WAITING_ROUNDS * self._capacity())

    @property
    def expected_wait_s(self) -> float:
        """How long the next one would wait for its turn, in seconds; 0 while that is not known."""
        ahead = self._in_flight + 1 - self._capacity()
        return max(0, ahead) * (self._interval_s or 0.0)

    def enter(self, patience_s: float) -> None:
        """Let one in.

        Args:
            patience_s: how long its answer is of use.

        Raises:
            Refusal: 503, it does not fit.
        """
        expected = self.expected_wait_s
        if self.waiting >= self.bound:
            raise self._refusal(
                f"{self.waiting} invocations wait already, which is the bound", expected
            )
        if expected > patience_s:
            raise self._refusal(
                f"an answer would take about {expected:.0f} s, later than its deadline of "
                f"{patience_s:g} s",
                expected - patience_s,
            )
        self._in_flight += 1

    def leave(self, now: float, *, answered: bool) -> None:
        """One was answered, or given up.

        Args:
            now: by `time.monotonic()`.
            answered: whether it had its turn. Whoever leaves before that says nothing of the pace.
        """
        busy = self._in_flight > self._capacity()
        self._in_flight -= 1
        if not busy:
            self._last_answer = None
        elif answered:
            if self._last_answer is not None:
                passed = now - self._last_answer
                known = passed if self._interval_s is None else self._interval_s
                self._interval_s = known + _SHARE * (passed - known)
            self._last_answer = now

    def _refusal(self, reason: str, wait_s: float) -> Refusal:
        retry = min(_LONGEST_RETRY_S, max(1, math.ceil(wait_s)))
        return Refusal(
            503, f"the server is busy: {reason}; try again in {retry} s", retry_after_s=retry
        )
