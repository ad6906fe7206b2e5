"""What HTTP costs an inference server: Clary's connections beside uvicorn's, for one application.

Both parse with httptools on uvloop and answer `POST /invocations` with 2 KB at once, as if the
network took no time. Contestants take turns, each in a process of its own; what counts is the CPU
time of the server's process for an answer, which other work on the machine changes least.

    python benchmarks/http_layers.py [--rounds 5] [--seconds 3] [--quick]
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import os
import socket
import statistics
import time
from collections.abc import Awaitable, Callable
from datetime import date
from pathlib import Path
from typing import Any

import uvicorn
import uvloop

from clary.endpoint.backend import Health
from clary.endpoint.invocation import Invocation, Reply
from clary.endpoint.server import Server
from clary.formats.replica import ReplicaSettings
from measuring import conditions
from rows import Rows, add_rows_option

BODY_BYTES = 120_000
ANSWER = b"[" + b"0.0075," * 290 + b"0]"
CONCURRENCIES = (1, 8, 32)
TICKS = os.sysconf("SC_CLK_TCK")


class AtOnce:
    """A backend whose model takes no time."""

    capacity = 64
    health = Health(ready=True)

    async def start(self) -> None:
        pass

    async def answer(self, _: Invocation) -> Reply:
        return Reply(200, ANSWER)

    async def close(self) -> None:
        pass


async def application(scope: Any, receive: Any, send: Any) -> None:
    """The same in raw ASGI, the shortest that reads the body."""
    assert scope["type"] == "http"
    headers = dict(scope["headers"])
    assert headers
    parts = []
    while True:
        message = await receive()
        parts.append(message["body"])
        if not message["more_body"]:
            break
    body = b"".join(parts)
    assert body
    head = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(ANSWER)).encode()),
        (b"x-clary-model-us", b"0"),
    ]
    await send({"type": "http.response.start", "status": 200, "headers": head})
    await send({"type": "http.response.body", "body": ANSWER})


def serve_clary(listener: socket.socket) -> None:
    settings = ReplicaSettings(
        endpoint="e", variant="v", instance="i", kind="pictures", model="/nowhere"
    )

    async def serve() -> None:
        server = Server(settings, AtOnce(), say=lambda _: None)
        await server.start(listener)
        await asyncio.Event().wait()

    uvloop.run(serve())


def serve_uvicorn(listener: socket.socket) -> None:
    config = uvicorn.Config(
        application,
        http="httptools",
        loop="uvloop",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
    )
    uvloop.run(uvicorn.Server(config).serve([listener]))


class Client(asyncio.Protocol):
    """Sends a request as soon as the last one is answered, until a moment."""

    def __init__(self, request: bytes, until: float, done: Callable[[], None]) -> None:
        self._request = request
        self._until = until
        self._done = done
        self._answer = b""
        self._begun = 0.0
        self.seconds: list[float] = []

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._ask()

    def data_received(self, data: bytes) -> None:
        self._answer += data
        if not self._answer.endswith(ANSWER):
            return
        self.seconds.append(time.perf_counter() - self._begun)
        self._answer = b""
        if time.perf_counter() < self._until:
            self._ask()
        else:
            self._transport.close()
            self._done()

    def _ask(self) -> None:
        self._begun = time.perf_counter()
        self._transport.write(self._request)


async def load(port: int, clients: int, seconds: float) -> list[float]:
    head = f"POST /invocations HTTP/1.1\r\nhost: localhost\r\ncontent-length: {BODY_BYTES}\r\n\r\n"
    request = head.encode() + b"x" * BODY_BYTES
    left = asyncio.Semaphore(0)
    until = time.perf_counter() + seconds
    made = [Client(request, until, left.release) for _ in range(clients)]
    loop = asyncio.get_running_loop()
    for client in made:
        await loop.create_connection(lambda client=client: client, "127.0.0.1", port)
    for _ in made:
        await left.acquire()
    return [seconds for client in made for seconds in client.seconds]


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def turn(serve: Callable[[socket.socket], None], seconds: float) -> dict[int, tuple[float, ...]]:
    listener = socket.create_server(("127.0.0.1", 0), backlog=256)
    port = listener.getsockname()[1]
    process = multiprocessing.get_context("fork").Process(target=serve, args=(listener,))
    process.start()
    assert process.pid is not None
    run: Callable[[Awaitable[list[float]]], list[float]] = uvloop.run  # type: ignore[assignment]
    run(load(port, 4, 0.5))
    figures = {}
    for clients in CONCURRENCIES:
        before = cpu_seconds(process.pid)
        taken = sorted(run(load(port, clients, seconds)))
        cpu_ms = (cpu_seconds(process.pid) - before) / len(taken) * 1000
        p99 = taken[int(0.99 * (len(taken) - 1))] * 1000
        figures[clients] = (cpu_ms, len(taken) / seconds, p99)
    process.kill()
    process.join()
    listener.close()
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--quick", action="store_true", help="two rounds of a second")
    add_rows_option(parser)
    given = parser.parse_args()
    rounds, seconds = (2, 1.0) if given.quick else (given.rounds, given.seconds)
    contestants = {"clary": serve_clary, "uvicorn": serve_uvicorn}
    print(conditions(date.today().isoformat()))
    found: dict[tuple[str, int], list[tuple[float, ...]]] = {}
    for number in range(rounds):
        order = list(contestants)
        for name in order if number % 2 == 0 else reversed(order):
            for clients, figures in turn(contestants[name], seconds).items():
                found.setdefault((name, clients), []).append(figures)
    print(f"{rounds} rounds of {seconds:g} s; median (lowest–highest)")
    print("| server | clients | CPU ms an answer | answers/s | p99 ms |\n|---|---|---|---|---|")
    for (name, clients), rows in found.items():
        cells = []
        for column in zip(*rows, strict=True):
            digits = 3 if max(column) < 5 else 0 if max(column) > 100 else 1
            middle, low, high = statistics.median(column), min(column), max(column)
            cells.append(f"{middle:.{digits}f} ({low:.{digits}f}–{high:.{digits}f})")
        print(f"| {name} | {clients} | {' | '.join(cells)} |")
    for clients in CONCURRENCIES:
        pairs = zip(found["clary", clients], found["uvicorn", clients], strict=True)
        Rows.of("http_layers", given).add(
            f"CPU of an answer, {clients} client(s)",
            "Clary's connections",
            [own[0] / peer[0] for own, peer in pairs],
            against="uvicorn",
            less=True,
        )


if __name__ == "__main__":
    main()
