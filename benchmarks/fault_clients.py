"""Clients that lose count of nothing: each request ends as one outcome, with its time."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise
from typing import cast

import httptools
import numpy as np

PATIENCE_S = 120.0
# bf16 in batches of other sizes rounds otherwise.
CLOSE = 0.02


class NoAnswer(Exception):
    """The connection could not be made, or ended before an answer."""


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class Outcome:
    """What became of a request, when it was answered, and how long that took."""

    kind: str
    at: float
    seconds: float


@dataclass
class Tally:
    """All outcomes of a scenario."""

    outcomes: list[Outcome] = field(default_factory=list)
    sent: int = 0

    @property
    def counts(self) -> Counter[str]:
        return Counter(outcome.kind for outcome in self.outcomes)

    def of(self, kind: str) -> list[Outcome]:
        return [outcome for outcome in self.outcomes if outcome.kind == kind]

    def percentile_ms(self, share: float, kind: str = "200") -> float:
        seconds = [outcome.seconds for outcome in self.of(kind)]
        return float(np.percentile(seconds, share) * 1000) if seconds else float("nan")

    def longest_gap_s(self, since: float) -> float:
        """The longest time without a right answer, from a moment on."""
        times = sorted([since, *(outcome.at for outcome in self.of("200") if outcome.at > since)])
        return max((after - before for before, after in pairwise(times)), default=float("inf"))


class Wire(asyncio.Protocol):
    """A connection that carries one request at a time."""

    def __init__(self) -> None:
        self._pending: asyncio.Future[Answer] | None = None
        self._transport: asyncio.Transport | None = None
        self._begin()
        self.open = False

    def _begin(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._headers: dict[str, str] = {}
        self._body = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport, self.open = cast("asyncio.Transport", transport), True

    def connection_lost(self, exc: Exception | None) -> None:
        self.open = False
        if self._pending is not None and not self._pending.done():
            self._pending.set_exception(NoAnswer())

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.decode().lower()] = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        answer = Answer(self._parser.get_status_code(), self._headers, self._body)
        if answer.headers.get("connection") == "close":
            self.open = False
        if self._pending is not None and not self._pending.done():
            self._pending.set_result(answer)
        self._begin()

    async def ask(self, request: bytes) -> Answer:
        self.send(request)
        return await self.answer()

    def send(self, data: bytes) -> None:
        assert self._transport is not None
        if self._pending is None or self._pending.done():
            self._pending = asyncio.get_running_loop().create_future()
        self._transport.write(data)

    async def answer(self) -> Answer:
        assert self._pending is not None
        return await asyncio.wait_for(self._pending, PATIENCE_S)

    def close(self) -> None:
        self.open = False
        if self._transport is not None:
            self._transport.close()


@dataclass(frozen=True)
class Question:
    """A whole request, and what its answer has to be: probabilities, or a status of these."""

    request: bytes
    probabilities: Sequence[float] = ()
    statuses: frozenset[str] = frozenset()

    def judge(self, answer: Answer) -> str:
        """The kind of outcome."""
        if answer.status == 503 and "retry-after" in answer.headers:
            return "503 refused"
        if answer.status != 200:
            kind = str(answer.status)
            if answer.status == 424:
                kind = f"424/{json.loads(answer.body).get('OriginalStatusCode')}"
            if self.statuses:
                return "right error" if kind in self.statuses and answer.body else f"{kind} wrong"
            return kind
        if not self.probabilities:
            return "200 wrong" if self.statuses else "200"
        found = np.array(json.loads(answer.body)[0])
        right = np.abs(found - np.array(self.probabilities)).max() < CLOSE
        return "200" if right else "200 wrong"


class Clients:
    """Connections to one address that are taken when they are free, and made when none is."""

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._free: list[Wire] = []
        self.tally = Tally()

    async def wire(self) -> Wire:
        while self._free:
            wire = self._free.pop()
            if wire.open:
                return wire
        loop = asyncio.get_running_loop()
        try:
            _, wire = await loop.create_connection(Wire, self._host, self._port)
        except OSError as error:
            raise NoAnswer from error
        return wire

    async def ask(self, question: Question) -> str:
        """Send a request, and count what becomes of it."""
        begun = time.monotonic()
        self.tally.sent += 1
        wire = None
        try:
            wire = await self.wire()
            kind = question.judge(await wire.ask(question.request))
        except NoAnswer:
            kind = "not connected" if wire is None else "no answer"
        except asyncio.TimeoutError:
            kind = "hung"
            if wire is not None:
                wire.close()
        if wire is not None and wire.open:
            self._free.append(wire)
        now = time.monotonic()
        self.tally.outcomes.append(Outcome(kind, now, now - begun))
        return kind

    async def steadily(
        self, questions: Sequence[Question], clients: int, goes_on: Callable[[], bool]
    ) -> None:
        """So many clients, each of which asks again when it has its answer."""

        async def one(first: int) -> None:
            number = first
            while goes_on():
                kind = await self.ask(questions[number % len(questions)])
                number += clients
                if kind != "200":
                    await asyncio.sleep(0.02)  # as a client would that is told to wait

        await asyncio.gather(*(one(number) for number in range(clients)))

    async def at_a_rate(
        self, questions: Sequence[Question], per_second: float, seconds: float
    ) -> None:
        """Requests that come whether or not others were answered."""
        begun = time.monotonic()
        tasks = []
        for number in range(int(per_second * seconds)):
            wait = begun + number / per_second - time.monotonic()
            if wait > 0:
                await asyncio.sleep(wait)
            tasks.append(asyncio.create_task(self.ask(questions[number % len(questions)])))
        await asyncio.gather(*tasks)

    def close(self) -> None:
        for wire in self._free:
            with suppress(OSError):
                wire.close()
