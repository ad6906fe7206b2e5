"""Greedy batches: a thread that is free takes its share of what waits, and waits for nobody.

No timer: waiting for company would make the lone request slow, and under load company is there
already. What waits is shared among the threads that are free, so that none of them stands by while
another one works through a long batch.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

Asked = TypeVar("Asked")
Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Waiting(Generic[Asked, Answer]):
    """One request in the queue. `future` belongs to the loop; threads only look at it."""

    asked: Asked
    future: asyncio.Future[Answer]

    @property
    def given_up(self) -> bool:
        """Whether nobody waits for the answer any more."""
        return self.future.done()


# What a thread does with a batch: an answer, or an error, for each request in its order.
Work = Callable[[Sequence[Asked]], Sequence["Answer | Exception"]]


class Batcher(Generic[Asked, Answer]):
    """Threads that answer requests in batches. Made, asked and closed on one event loop.

    Each thread works by a function of its own, so that nothing in it needs a lock.
    """

    def __init__(self, works: Sequence[Work[Asked, Answer]], largest: int) -> None:
        """Start the threads.

        Args:
            works: for each thread, what it does with a batch.
            largest: how many requests one batch may have.
        """
        self._loop = asyncio.get_running_loop()
        self._largest = largest
        self._queue: queue.SimpleQueue[Waiting[Asked, Answer] | None] = queue.SimpleQueue()
        # A thread that is only starting is free, too.
        self._free = len(works)
        self._counting = threading.Lock()
        self._threads = [
            threading.Thread(target=self._run, args=(work,), name=f"model-{number}", daemon=True)
            for number, work in enumerate(works)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def capacity(self) -> int:
        """How many requests are worked on at once."""
        return len(self._threads) * self._largest

    async def ask(self, asked: Asked) -> Answer:
        """Wait for the answer.

        Raises:
            Exception: what the work gave in place of an answer.
        """
        waiting: Waiting[Asked, Answer] = Waiting(asked, self._loop.create_future())
        self._queue.put(waiting)
        return await waiting.future

    async def close(self) -> None:
        """End the threads, after everything that was asked."""
        for _ in self._threads:
            self._queue.put(None)
        for thread in self._threads:
            await self._loop.run_in_executor(None, thread.join)

    def _run(self, work: Work[Asked, Answer]) -> None:
        while True:
            first = self._queue.get()
            with self._counting:
                free, self._free = self._free, self._free - 1
            if first is None:
                return
            batch = self._take(first, free)
            answers: Sequence[Answer | Exception]
            try:
                answers = work([waiting.asked for waiting in batch]) if batch else ()
            except Exception as error:  # noqa: BLE001 - it is the answer to all of them
                answers = [error] * len(batch)
            with self._counting:
                self._free += 1
            self._loop.call_soon_threadsafe(_give, batch, answers)

    def _take(self, first: Waiting[Asked, Answer], free: int) -> list[Waiting[Asked, Answer]]:
        """This thread's share of what waits, without what was given up."""
        batch = [] if first.given_up else [first]
        share = min(self._largest, -(-(self._queue.qsize() + 1) // free))
        while len(batch) < share:
            try:
                waiting = self._queue.get_nowait()
            except queue.Empty:
                break
            if waiting is None:  # one thread's word to end
                self._queue.put(None)
                break
            if not waiting.given_up:
                batch.append(waiting)
        return batch


def _give(batch: Sequence[Waiting[Asked, Answer]], answers: Sequence[Answer | Exception]) -> None:
    for waiting, answer in zip(batch, answers, strict=True):
        if waiting.future.done():
            continue
        if isinstance(answer, Exception):
            waiting.future.set_exception(answer)
        else:
            waiting.future.set_result(answer)
