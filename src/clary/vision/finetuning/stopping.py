"""Stopping between two batches when a person or the system asks for it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class StopRequest:
    """Remembers that the run should stop; asked by the training loop between two batches.

    Set from a signal handler or from any thread.
    """

    def __init__(self) -> None:
        self._event = threading.Event()
        self.signal_number: int | None = None

    @property
    def requested(self) -> bool:
        """Whether the stop was asked for."""
        return self._event.is_set()

    def stop(self) -> None:
        """Ask for the stop."""
        self._event.set()

    @contextmanager
    def on_signals(self) -> Iterator[None]:
        """Take SIGINT and SIGTERM as a request while the block runs; a second one is immediate.

        Only the main thread can receive signals: elsewhere the block just runs.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        earlier = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

        def handle(number: int, frame: FrameType | None) -> None:
            if self.requested:
                raise KeyboardInterrupt
            self.signal_number = number
            self.stop()

        for number in earlier:
            signal.signal(number, handle)
        try:
            yield
        finally:
            for number, handler in earlier.items():
                signal.signal(number, handler)
