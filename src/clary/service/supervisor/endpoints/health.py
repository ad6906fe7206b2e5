"""Whether a replica answers, by asking it; and time that counts only while somebody asks."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Executor as Pool
from concurrent.futures import Future

# Rounds come many times a second; a longer gap is one in which the service stood still.
_LONGEST_GAP_S = 1.0
# One that was asked less often has not had its chance.
_QUESTIONS = 6


class WatchedTime:
    """A clock that runs while the rounds do. The rounds' thread moves it, others may read it.

    A service that was paused, or a machine that slept, is no reason to end a replica.
    """

    def __init__(self) -> None:
        self._now_s = 0.0
        self._seen = time.monotonic()

    @property
    def now_s(self) -> float:
        """Seconds that were watched."""
        return self._now_s

    def move(self) -> None:
        """Note that a round begins."""
        now = time.monotonic()
        self._now_s += min(now - self._seen, _LONGEST_GAP_S)
        self._seen = now


class Questions:
    """Asks one replica how it is, one question at a time.

    Owned by what takes care of the replica; one thread.
    """

    def __init__(
        self,
        pool: Pool,
        answers: Callable[[int], bool],
        clock: WatchedTime,
        changed: Callable[[], None],
    ) -> None:
        """Ask nothing yet.

        Args:
            pool: runs the questions, and nothing that takes longer than they do.
            answers: asks whether what listens on a port serves.
            clock: by which silence is measured.
            changed: called when there is an answer.
        """
        self._pool = pool
        self._answers = answers
        self._clock = clock
        self._changed = changed
        self._open: Future[bool] | None = None
        self._asked_at = 0.0
        self._unanswered = 0
        self._silent_since = 0.0
        self.asked = 0

    def ask(self, port: int, every_s: float) -> None:
        """Ask, where no question is open and the last was so long ago."""
        now = time.monotonic()
        if self._open is None and now - self._asked_at >= every_s:
            self._asked_at = now
            self._open = self._pool.submit(self._answers, port)
            self._open.add_done_callback(lambda _: self._changed())

    def answered(self) -> bool:
        """Whether the replica has said since the last look that it serves."""
        if self._open is None or not self._open.done():
            return False
        serves = self._open.exception() is None and self._open.result()
        self._open = None
        self.asked += 1
        if serves:
            self._unanswered = 0
        else:
            if not self._unanswered:
                self._silent_since = self._clock.now_s
            self._unanswered += 1
        return serves

    def silent(self, seconds: float) -> bool:
        """Whether it was asked often enough for so long, and never said that it serves."""
        long = self._clock.now_s - self._silent_since >= seconds
        return self._unanswered >= _QUESTIONS and long
