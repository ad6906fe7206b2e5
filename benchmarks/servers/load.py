"""Clients of a server, for a while: each sends its next picture when it has its last answer.

    python benchmarks/servers/load.py PORT PATH FORM CONCURRENCY SECONDS FOLDER

FORM is how the picture travels: `raw` (image/jpeg), `base64` (JSON with `image_data`) or
`multipart` (a form's file `image`). Pictures are the `.jpg` files of FOLDER, in turn. The last
line is JSON: statuses, the latency of each answer in milliseconds, seconds, processor seconds.
"""

from __future__ import annotations

import asyncio
import base64
import json
import sys
import time
from collections import Counter
from itertools import count
from pathlib import Path

import httptools

BOUNDARY = "clary-benchmark"


def body_of(picture: bytes, form: str) -> tuple[bytes, str]:
    """A request's body and its content type."""
    if form == "base64":
        text = json.dumps({"image_data": base64.b64encode(picture).decode()})
        return text.encode(), "application/json"
    if form == "multipart":
        head = (
            f"--{BOUNDARY}\r\nContent-Disposition: form-data; name=image; filename=picture.jpg\r\n"
            "Content-Type: image/jpeg\r\n\r\n"
        )
        end = f"\r\n--{BOUNDARY}--\r\n"
        return head.encode() + picture + end.encode(), f"multipart/form-data; boundary={BOUNDARY}"
    return picture, "image/jpeg"


def requests_of(folder: Path, path: str, form: str) -> list[bytes]:
    """Whole requests, a picture each."""
    made = []
    for file in sorted(folder.glob("*.jpg")):
        body, kind = body_of(file.read_bytes(), form)
        head = (
            f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {kind}\r\n"
            f"Accept: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        made.append(head.encode() + body)
    return made


class Client(asyncio.Protocol):
    """One connection. What was asked when time is up is waited for, and counts."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._begun = 0.0
        self._parser = httptools.HttpResponseParser(self)
        self.ended = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._ask()

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.ended.done():
            self._load.statuses["connection lost"] += 1
            self.ended.set_result(None)

    def on_message_complete(self) -> None:
        now = time.perf_counter()
        self._load.statuses[str(self._parser.get_status_code())] += 1
        self._load.latencies_ms.append(1000 * (now - self._begun))
        self._parser = httptools.HttpResponseParser(self)
        if now < self._load.until:
            # The parser may not be fed from within its own callback.
            asyncio.get_running_loop().call_soon(self._ask)
        else:
            self.ended.set_result(None)
            self._transport.close()

    def _ask(self) -> None:
        self._begun = time.perf_counter()
        self._transport.write(self._load.next_request())


class Load:
    """What all clients share."""

    def __init__(self, requests: list[bytes], seconds: float) -> None:
        self.until = time.perf_counter() + seconds
        self.statuses: Counter[str] = Counter()
        self.latencies_ms: list[float] = []
        self._requests = requests
        self._numbers = count()

    def next_request(self) -> bytes:
        """The next picture's."""
        return self._requests[next(self._numbers) % len(self._requests)]


async def main(port: int, requests: list[bytes], clients: int, seconds: float) -> None:
    """Load the server, then print what came of it."""
    begun, used = time.perf_counter(), time.process_time()
    load = Load(requests, seconds)
    loop = asyncio.get_running_loop()
    connected = await asyncio.gather(
        *(loop.create_connection(lambda: Client(load), "127.0.0.1", port) for _ in range(clients))
    )
    await asyncio.gather(*(client.ended for _, client in connected))
    said = {
        "statuses": load.statuses,
        "latencies_ms": [round(value, 2) for value in load.latencies_ms],
        "seconds": time.perf_counter() - begun,
        "cpu_s": time.process_time() - used,
    }
    print(json.dumps(said))


if __name__ == "__main__":
    port, path, form, clients, seconds, folder = sys.argv[1:]
    requests = requests_of(Path(folder), path, form)
    asyncio.run(main(int(port), requests, int(clients), float(seconds)))
