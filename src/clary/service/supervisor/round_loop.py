"""A thread that decides in rounds, and callers who wait for what comes of it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import TypeVar

logger = logging.getLogger(__name__)

Record = TypeVar("Record")

_AFTER_A_FAILURE_S = 1.0


class RoundLoop:
    """Makes a round, and the next one when something has changed or its time has come.

    Owned by a supervisor. Every method may be called from any thread; the rounds are made by one.
    A round that fails is told in the service's log and made again.
    """

    def __init__(
        self,
        name: str,
        make_round: Callable[[], float | None],
        *,
        waiters: int,
        retry_s: float = _AFTER_A_FAILURE_S,
    ) -> None:
        """Nothing runs before `start`.

        Args:
            name: the thread's.
            make_round: a round; gives how long the next one may wait, in seconds, None for ever.
            waiters: how many callers may wait at once, each on a thread of its own.
            retry_s: when a round that failed is made again.
        """
        self._name = name
        self._make_round = make_round
        self._retry_s = retry_s
        self._changes = 0
        self._condition = threading.Condition()
        self._closing = False
        self._waiters = threading.BoundedSemaphore(waiters)
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self, *, first_here: bool = False) -> None:
        """Begin; with `first_here` the first round is over when this returns."""
        if first_here:
            self._round()
        self._thread.start()

    def wake(self) -> None:
        """Say that something was changed, or may have become possible."""
        with self._condition:
            self._changes += 1
            self._condition.notify_all()

    def release(self) -> None:
        """Make no more rounds, and let waiting callers return now: the service is about to end."""
        with self._condition:
            self._closing = True
            self._condition.notify_all()

    def close(self) -> None:
        """Wait for the end of the round that is being made; no other follows."""
        self.release()
        if self._thread.is_alive():
            self._thread.join()

    def wait_until(
        self,
        find: Callable[[str], Record | None],
        name: str,
        satisfied: Callable[[Record], bool],
        seconds: float,
    ) -> Record | None:
        """Wait until a record is as wanted, at most so long; it then, None when it is gone.

        Where enough callers wait already, one more gets the record as it is.

        Args:
            find: reads the record.
            name: its name.
            satisfied: whether it is as wanted.
            seconds: how long to wait at most.
        """
        if not self._waiters.acquire(blocking=False):
            return find(name)
        try:
            deadline = time.monotonic() + seconds
            while True:
                with self._condition:
                    seen = self._changes
                record = find(name)
                if record is None or satisfied(record):
                    return record
                with self._condition:
                    remaining = deadline - time.monotonic()
                    if self._changes == seen and remaining > 0 and not self._closing:
                        self._condition.wait(remaining)
                    if self._closing or time.monotonic() >= deadline:
                        return find(name)
        finally:
            self._waiters.release()

    def _round(self) -> float | None:
        try:
            return self._make_round()
        except Exception:
            logger.exception("A round of %s failed and is made again", self._name)
            return self._retry_s

    def _run(self) -> None:
        while not self._closing:
            with self._condition:
                seen = self._changes
            pause_s = self._round()
            with self._condition:
                if self._changes == seen and not self._closing:
                    self._condition.wait(pause_s)
