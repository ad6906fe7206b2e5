"""A pool whose threads never hold up the end of the process."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class DaemonPool(Executor):
    """Runs each task on a daemon thread of its own.

    The standard pool's threads are joined when the interpreter ends, so that a long installation
    would hold up `clary stop`. What runs here may be cut off at any point, as by a kill.
    """

    def __init__(self) -> None:
        self._running: set[threading.Thread] = set()
        self._lock = threading.Lock()

    def submit(self, task: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Start a task."""
        future: Future[T] = Future()

        def run() -> None:
            try:
                result = task(*args, **kwargs)
            except BaseException as error:  # noqa: BLE001 - whoever waits gets it
                future.set_exception(error)
            else:
                future.set_result(result)
            finally:
                with self._lock:
                    self._running.discard(thread)

        thread = threading.Thread(target=run, name="clary-work", daemon=True)
        with self._lock:
            self._running.add(thread)
        thread.start()
        return future

    def join(self, seconds: float) -> None:
        """Wait for what runs, at most so long."""
        deadline = time.monotonic() + seconds
        with self._lock:
            threads = list(self._running)
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
