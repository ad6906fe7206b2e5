"""A pool whose threads never hold up the end of the process."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

# As many tasks run at once; most wait for the disk or for another process.
LIMIT = 64
# A thread costs memory and what it keeps open, and little to start again.
IDLE_S = 10.0


class DaemonPool(Executor):
    """Runs tasks on a few daemon threads, which are used again and end when they are idle.

    The standard pool's threads are joined when the interpreter ends, so that a long installation
    would hold up `clary stop`. What runs here may be cut off at any point, as by a kill. No task
    may wait for another one. Any thread may call.
    """

    def __init__(self, limit: int = LIMIT, idle_s: float = IDLE_S) -> None:
        """Start nothing yet.

        Args:
            limit: how many tasks run at once; others wait in the order they came.
            idle_s: how long a thread waits for its next task.
        """
        self._limit = limit
        self._idle_s = idle_s
        self._tasks: deque[Callable[[], None]] = deque()
        self._threads: set[threading.Thread] = set()
        self._idle = 0
        lock = threading.Lock()
        self._come = threading.Condition(lock)
        self._done = threading.Condition(lock)

    def submit(self, task: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Run a task as soon as there is a thread for it.

        Raises:
            RuntimeError: the system gives no thread.
        """
        future: Future[T] = Future()

        def run() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                result = task(*args, **kwargs)
            except BaseException as error:  # noqa: BLE001 - whoever waits gets it
                future.set_exception(error)
            else:
                future.set_result(result)

        with self._come:
            if len(self._tasks) >= self._idle and len(self._threads) < self._limit:
                thread = threading.Thread(target=self._work, name="clary-work", daemon=True)
                thread.start()
                self._threads.add(thread)
                self._idle += 1
            self._tasks.append(run)
            self._come.notify()
        return future

    def join(self, seconds: float) -> None:
        """Wait until everything is done, at most so long."""
        with self._done:
            self._done.wait_for(self._is_done, seconds)

    def _is_done(self) -> bool:
        return not self._tasks and self._idle == len(self._threads)

    def _work(self) -> None:
        while self._run_next():
            pass

    def _run_next(self) -> bool:
        """Wait for a task and run it; False when none comes and the thread is to end."""
        with self._come:
            self._come.wait_for(lambda: self._tasks, self._idle_s)
            self._idle -= 1
            if not self._tasks:
                self._threads.discard(threading.current_thread())
                return False
            task = self._tasks.popleft()
        task()
        with self._done:
            self._idle += 1
            self._done.notify_all()
        return True
