"""The workers that are connected, as the server sees them: who is free, who has which model."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import struct
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from clary.endpoint import frames
from clary.endpoint.frames import Frame, FrameError
from clary.endpoint.invocation import Refusal

_PEER = struct.Struct("3i")
# Workers that die before one was ever ready: of a model that fells them, more will not do better.
_DEATHS_AT_START = 3
_TIMED_OUT = 504
_NOT_BEGUN = "no worker was free before the request's time was over: try again"
_DIED = 500


@dataclass(eq=False)
class Worker:
    """One process at the other end of a connection; `answer` is what it works on, if anything."""

    number: int
    pid: int
    writer: asyncio.StreamWriter
    ready: bool = False
    models: tuple[str, ...] = ()
    answer: asyncio.Future[Frame] | None = None
    timer: asyncio.TimerHandle | None = None


@dataclass(eq=False)
class _Turn:
    """Somebody who waits for a free worker, best one that has `model` loaded."""

    model: str
    worker: asyncio.Future[Worker] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )


class Workers:
    """Hands requests to whoever is free, first come first served.

    Lives on one event loop. `last_ready` is when one that was ready was lost, by
    `time.monotonic()`. The processes belong to the replica's parent, which starts another
    where one has ended; this one only ends those that are over their deadline.
    """

    def __init__(
        self, listener: socket.socket, count: int, *, cores: int, gpus: Sequence[str]
    ) -> None:
        self._listener = listener
        self._count = count
        self._cores = cores
        self._gpus = gpus
        self._connected: set[Worker] = set()
        self._idle: deque[Worker] = deque()
        self._turns: deque[_Turn] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._asking = 0
        self._deaths = 0
        self._started: asyncio.Future[None] | None = None
        self._changed = asyncio.Event()
        self._closing = False
        self.last_ready = time.monotonic()

    @property
    def count(self) -> int:
        """How many there shall be."""
        return self._count

    @property
    def ready(self) -> int:
        """How many there are, of those that have loaded what there is to load."""
        return sum(worker.ready for worker in self._connected)

    async def first(self) -> None:
        """Take connections, and return when the first worker is ready.

        Raises:
            ChildProcessError: they end before they are.
        """
        self._started = asyncio.get_running_loop().create_future()
        self._begin(self._accept())
        await self._started

    async def ask(self, told: Mapping[str, Any], body: bytes, *, deadline: float) -> Frame:
        """Have a request answered, and give the answer's frame.

        Args:
            told: what the worker is told with the body.
            body: the request's.
            deadline: by `time.monotonic()`; the worker that is over it is ended.

        Raises:
            Refusal: 504 at the deadline, 500 where the worker has died of it.
        """
        self._asking += 1
        try:
            return await self._ask(told, body, deadline)
        finally:
            self._asking -= 1
            self._changed.set()

    async def close(self) -> None:
        """Let what was handed over be answered, then tell the workers that this is the end."""
        self._closing = True
        while self._asking or any(worker.answer is not None for worker in self._connected):
            self._changed.clear()
            await self._changed.wait()
        for worker in self._connected:
            worker.writer.write(Frame("end").head())
        for worker in list(self._connected):
            worker.writer.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _ask(self, told: Mapping[str, Any], body: bytes, deadline: float) -> Frame:
        worker = await self._turn(str(told["model"]), deadline)
        while worker not in self._connected:  # it died between being free and being asked
            worker = await self._turn(str(told["model"]), deadline)
        if deadline <= time.monotonic():  # no reason to end a worker that has not begun
            self._free(worker)
            raise Refusal(_TIMED_OUT, _NOT_BEGUN)
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Frame] = loop.create_future()
        # Nobody may be there to take it, once the client has left.
        answer.add_done_callback(lambda done: done.cancelled() or done.exception())
        worker.answer = answer
        worker.timer = loop.call_later(
            max(0.0, deadline - time.monotonic()), self._over, worker, answer
        )
        try:
            frame = Frame("invoke", told, body)
            worker.writer.write(frame.head())
            worker.writer.write(body)
        except FrameError as error:
            self._done(worker)
            self._free(worker)
            raise Refusal(413, str(error)) from error
        return await asyncio.shield(answer)

    async def _turn(self, model: str, deadline: float) -> Worker:
        """Wait for a free worker, one that has the model where there is a choice."""
        for worker in self._idle:
            if model in worker.models:
                self._idle.remove(worker)
                return worker
        if self._idle:
            return self._idle.popleft()
        turn = _Turn(model)
        self._turns.append(turn)
        try:
            await asyncio.wait({turn.worker}, timeout=max(0.0, deadline - time.monotonic()))
        except asyncio.CancelledError:
            if turn.worker.done():
                self._free(turn.worker.result())
            raise
        finally:
            if turn in self._turns:
                self._turns.remove(turn)
        if turn.worker.done():
            return turn.worker.result()
        raise Refusal(_TIMED_OUT, _NOT_BEGUN)

    def _free(self, worker: Worker) -> None:
        """A worker can take the next request."""
        if worker not in self._connected:
            return
        if self._turns:
            self._turns.popleft().worker.set_result(worker)
        else:
            self._idle.append(worker)

    def _over(self, worker: Worker, answer: asyncio.Future[Frame]) -> None:
        """The time of what a worker works on is over: it is ended, for nothing else ends it."""
        if worker.answer is not answer:
            return
        if not answer.done():
            answer.set_exception(
                Refusal(
                    _TIMED_OUT,
                    "the model did not answer in time: the worker was ended, and another one "
                    "takes its place",
                )
            )
        _end(worker.pid)

    def _done(self, worker: Worker) -> None:
        if worker.timer is not None:
            worker.timer.cancel()
        worker.answer = worker.timer = None
        self._changed.set()

    def _begin(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            connection, _ = await loop.sock_accept(self._listener)
            self._begin(self._follow(connection))

    async def _follow(self, connection: socket.socket) -> None:
        """Speak with one worker until it is gone."""
        peer = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size)
        pid = _PEER.unpack(peer)[0]
        reader, writer = await asyncio.open_connection(sock=connection)
        worker = None
        try:
            hello = await frames.read(reader)
            if hello is None or hello.kind != "hello":
                self._count_death()
                return
            worker = Worker(self._number(hello.told.get("number")), pid, writer)
            self._connected.add(worker)
            writer.write(Frame("welcome", self._welcome(worker)).head())
            while (frame := await frames.read(reader)) is not None:
                self._heard(worker, frame)
        except (OSError, FrameError):
            _end(pid)
        finally:
            writer.close()
            if worker is not None:
                self._lost(worker)

    def _heard(self, worker: Worker, frame: Frame) -> None:
        if frame.kind == "ready":
            worker.ready = True
            if self._started is not None and not self._started.done():
                self._started.set_result(None)
        elif frame.kind == "answer" and worker.answer is not None:
            worker.models = tuple(frame.told["models"])
            answer = worker.answer
            self._done(worker)
            if not answer.done():
                answer.set_result(frame)
        else:
            raise FrameError(f"a worker says {frame.kind!r} out of turn")
        self._free(worker)

    def _lost(self, worker: Worker) -> None:
        """A worker is gone, and with it what it worked on."""
        self._connected.discard(worker)
        if worker.ready:
            self.last_ready = time.monotonic()
        if worker in self._idle:
            self._idle.remove(worker)
        answer = worker.answer
        self._done(worker)
        if answer is not None and not answer.done():
            answer.set_exception(
                Refusal(
                    _DIED,
                    "the worker died while it answered this request: another one takes its "
                    "place, and the log of the endpoint says more",
                )
            )
        if not worker.ready:
            self._count_death()

    def _count_death(self) -> None:
        """One has ended that was not ready; too many of them are the end of the start."""
        started = self._started
        if not self._closing and started is not None and not started.done():
            self._deaths += 1
            if self._deaths >= _DEATHS_AT_START:
                started.set_exception(
                    ChildProcessError(
                        f"{self._deaths} workers died while they loaded the model: the log says "
                        "how, and what they printed"
                    )
                )

    def _number(self, had: int | None) -> int:
        """The lowest number that no worker has; the one that it had, where that is free."""
        taken = {worker.number for worker in self._connected}
        if had is not None and had not in taken:
            return had
        return next(number for number in range(1, len(taken) + 2) if number not in taken)

    def _welcome(self, worker: Worker) -> dict[str, Any]:
        gpus = self._gpus
        return {
            "number": worker.number,
            "threads": max(1, self._cores // self._count),
            "gpu": gpus[(worker.number - 1) % len(gpus)] if gpus else None,
        }


def _end(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
