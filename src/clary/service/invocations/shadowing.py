"""Copies of invocations for shadow variants, whose answers nobody gets."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable

_THREADS = 4
# More copies than this are not made: a shadow must not hold up what it shadows.
_WAITING = 64
_TOLD_EVERY_S = 60.0

logger = logging.getLogger(__name__)


class Shadowing:
    """Runs copies beside the invocations, as many as there is room for. Any thread may call."""

    def __init__(self) -> None:
        self._waiting: queue.Queue[Callable[[], None]] = queue.Queue(_WAITING)
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._dropped = 0
        self._told = float("-inf")

    def submit(self, copy: Callable[[], None]) -> bool:
        """Make a copy in a moment; whether there is room for it."""
        try:
            self._waiting.put_nowait(copy)
        except queue.Full:
            self._tell_dropped()
            return False
        with self._lock:
            if len(self._threads) < _THREADS:
                thread = threading.Thread(target=self._work, name="clary-shadow", daemon=True)
                self._threads.append(thread)
                thread.start()
        return True

    def _work(self) -> None:
        while True:
            copy = self._waiting.get()
            try:
                copy()
            except Exception:
                logger.exception("a copy of an invocation failed")

    def _tell_dropped(self) -> None:
        with self._lock:
            self._dropped += 1
            now = time.monotonic()
            if now - self._told < _TOLD_EVERY_S:
                return
            dropped, self._dropped, self._told = self._dropped, 0, now
        logger.warning(
            "%d invocations were not copied to shadow variants, which are slower than what comes",
            dropped,
        )
