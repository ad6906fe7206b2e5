"""Watching what runs elsewhere: it is asked on a thread, and Ctrl-C is counted meanwhile."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from types import FrameType
from typing import Generic, Protocol, TypeVar

from clary.errors import ServiceError

STOPS = (signal.SIGINT, signal.SIGTERM)
# A service that does not stay is not started for ever.
RECONNECTIONS = 5
_PAUSE_SECONDS = 0.5


class Ending(Protocol):
    """What is asked for: something that tells whether it is over."""

    @property
    def ended(self) -> bool:
        """Whether there is nothing more to ask."""


Found = TypeVar("Found", bound=Ending)
Result = TypeVar("Result")


class Watch(Generic[Found]):
    """Asks how something stands, on a thread of its own: the service may take its time to answer.

    Args:
        ask: what is called again and again, on that thread, until it says that it has ended.
        pause_seconds: between two calls.
    """

    def __init__(self, ask: Callable[[], Found], *, pause_seconds: float = _PAUSE_SECONDS) -> None:
        self.found: Found | None = None
        self.over = threading.Event()
        self._ask = ask
        self._pause_seconds = pause_seconds
        self._error: Exception | None = None
        threading.Thread(target=self._run, name="watch", daemon=True).start()

    def result(self) -> Found:
        """What was found at the end, once `over` is set.

        Raises:
            ServiceError: it could not be asked even once.
            Exception: whatever has come of asking.
        """
        if self._error is not None:
            raise self._error
        if self.found is None:
            raise ServiceError("the watching ended before the first answer")
        return self.found

    def _run(self) -> None:
        try:
            while not self.over.is_set():
                self.found = self._ask()
                if self.found.ended:
                    return
                self.over.wait(self._pause_seconds)
        except Exception as error:  # noqa: BLE001 - raised where the result is asked for
            self._error = error
        finally:
            self.over.set()


def in_background(work: Callable[[], Result]) -> Future[Result]:
    """Call a function on a thread that keeps no process from ending; what comes of it is told.

    Args:
        work: what is called.
    """
    future: Future[Result] = Future()

    def call() -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # noqa: BLE001 - raised where the result is asked for
            future.set_exception(error)

    threading.Thread(target=call, name="work", daemon=True).start()
    return future


@contextmanager
def counting_stops() -> Iterator[list[int]]:
    """Ctrl-C and SIGTERM are counted, so that none of them tears a line in two."""
    asked: list[int] = []

    def count(number: int, _frame: FrameType | None) -> None:
        asked.append(number)

    # A shell ignores SIGINT for what it puts in the background, and that stays so.
    numbers = [number for number in STOPS if signal.getsignal(number) != signal.SIG_IGN]
    earlier = {number: signal.signal(number, count) for number in numbers}
    try:
        yield asked
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)
