"""The asynchronous invocations that wait and those that run, without what they ask."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Iterable

from clary.service.state.async_invocations import AsyncTicket

# Each that runs waits for its answer on a thread.
RUNNING_LIMIT = 256
# As many of them may be one endpoint's, so that others have turns beside it.
RUNNING_LIMIT_EACH = 128
# Beyond that an endpoint takes no more.
WAITING_LIMIT_EACH = 100_000


class Backlog:
    """A queue for each endpoint, and whose turn it is. Any thread may call.

    An invocation that was taken runs until `done`, or `back`: it waits again then, before all
    others of its endpoint.
    """

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._waiting: dict[int, deque[AsyncTicket]] = {}
        self._running: Counter[int] = Counter()
        # By endpoint: until when nothing of it is begun, by `time.monotonic()`.
        self._paused: dict[int, float] = {}
        self._news = False
        self._closed = False

    def close(self) -> None:
        """Let `wait` return for good."""
        with self._condition:
            self._closed = True
            self._condition.notify_all()

    def wait(self, seconds: float) -> bool:
        """Wait for a change, while something waits at most so long; False once this is closed."""
        with self._condition:
            self._condition.wait_for(
                lambda: self._news or self._closed, seconds if self._waiting else None
            )
            self._news = False
            return not self._closed

    def has_room(self, endpoint: int) -> bool:
        """Whether an endpoint takes one more."""
        with self._condition:
            return len(self._waiting.get(endpoint, ())) < WAITING_LIMIT_EACH

    def add(self, tickets: Iterable[AsyncTicket]) -> None:
        """Let some wait behind all others of their endpoints."""
        with self._condition:
            for ticket in tickets:
                self._waiting.setdefault(ticket.endpoint_number, deque()).append(ticket)
            self._tell()

    def firsts(self) -> list[AsyncTicket]:
        """The first of each endpoint that something waits for, without those that pause."""
        now = time.monotonic()
        with self._condition:
            for endpoint in [one for one, until in self._paused.items() if until <= now]:
                del self._paused[endpoint]
            return [
                waiting[0]
                for endpoint, waiting in self._waiting.items()
                if endpoint not in self._paused
            ]

    def take(self, endpoint: int, turns: int) -> AsyncTicket | None:
        """The first of an endpoint, to be run; None where as many run as may.

        Args:
            endpoint: by its number.
            turns: how many of it may run at once.
        """
        with self._condition:
            waiting = self._waiting.get(endpoint)
            if (
                not waiting
                or self._running[endpoint] >= min(turns, RUNNING_LIMIT_EACH)
                or self._running.total() >= RUNNING_LIMIT
            ):
                return None
            ticket = waiting.popleft()
            self._tidy(endpoint)
            self._running[endpoint] += 1
            return ticket

    def done(self, ticket: AsyncTicket) -> None:
        """One that ran does so no more."""
        with self._condition:
            self._ended(ticket)

    def back(self, ticket: AsyncTicket, pause_s: float) -> None:
        """One that ran waits again, and nothing of its endpoint is begun for some seconds."""
        with self._condition:
            self._ended(ticket)
            self._waiting.setdefault(ticket.endpoint_number, deque()).appendleft(ticket)
            self._paused[ticket.endpoint_number] = time.monotonic() + pause_s

    def take_expired(self, now_ms: int, limit: int) -> list[AsyncTicket]:
        """Those that have waited too long, at most `limit`; they wait no more.

        Args:
            now_ms: milliseconds since 1970.
            limit: how many.
        """
        taken: list[AsyncTicket] = []
        with self._condition:
            for endpoint, waiting in list(self._waiting.items()):
                expired = [one for one in waiting if one.expires_ms <= now_ms]
                expired = expired[: limit - len(taken)]
                if expired:
                    gone = {one.number for one in expired}
                    self._waiting[endpoint] = deque(
                        one for one in waiting if one.number not in gone
                    )
                    self._tidy(endpoint)
                    taken += expired
            for ticket in taken:
                self._running[ticket.endpoint_number] += 1
        return taken

    def drop(self, endpoint: int) -> None:
        """Nothing of an endpoint waits any more."""
        with self._condition:
            self._waiting.pop(endpoint, None)
            self._paused.pop(endpoint, None)

    def _ended(self, ticket: AsyncTicket) -> None:
        self._running[ticket.endpoint_number] -= 1
        if self._running[ticket.endpoint_number] <= 0:
            del self._running[ticket.endpoint_number]
        self._tell()

    def _tell(self) -> None:
        self._news = True
        self._condition.notify_all()

    def _tidy(self, endpoint: int) -> None:
        if not self._waiting[endpoint]:
            del self._waiting[endpoint]
