"""Bodies between loop and threads: in order, in bounded memory, and never for ever."""

from __future__ import annotations

import asyncio
import http.client
import os
import socket
import time
import urllib.request
from collections.abc import MutableMapping
from typing import Any

import psutil
import pytest
from botocore.config import Config
from hypothesis import given, settings
from hypothesis import strategies as st

from clary.service.bridging import HIGH_WATER_BYTES, BodyBridge, BytesSource
from clary.service.faults import Fault
from tests.service.conftest import RunningService
from tests.waiting import until

BIG_BYTES = 400 << 20
MIB = 1 << 20


def messages(parts: list[bytes], *, broken: bool = False) -> list[MutableMapping[str, Any]]:
    found: list[MutableMapping[str, Any]] = [
        {"type": "http.request", "body": part, "more_body": True} for part in parts
    ]
    end = {"type": "http.disconnect"} if broken else {"type": "http.request", "body": b""}
    return [*found, end]


async def bridged(
    found: list[MutableMapping[str, Any]], sizes: list[int], idle_seconds: float = 30.0
) -> tuple[bytes, BodyBridge]:
    waiting = iter(found)

    async def receive() -> MutableMapping[str, Any]:
        await asyncio.sleep(0)
        return next(waiting)

    bridge = BodyBridge(receive, idle_seconds)

    def read_all() -> bytes:
        parts, turn = [], 0
        while data := bridge.read(sizes[turn % len(sizes)]):
            assert len(data) <= sizes[turn % len(sizes)]
            parts.append(data)
            turn += 1
        return b"".join(parts)

    pump = asyncio.create_task(bridge.pump())
    body = await asyncio.get_running_loop().run_in_executor(None, read_all)
    await pump
    return body, bridge


sizes = st.lists(st.integers(1, 40), min_size=1, max_size=4)


@settings(deadline=None, max_examples=60)
@given(parts=st.lists(st.binary(max_size=60), max_size=8), steps=sizes)
def test_what_comes_is_what_is_read(parts: list[bytes], steps: list[int]) -> None:
    body, bridge = asyncio.run(bridged(messages(parts), steps))
    assert body == b"".join(parts)
    assert bridge.complete


@given(body=st.binary(max_size=200), steps=sizes)
def test_a_body_that_is_there_is_read_the_same(body: bytes, steps: list[int]) -> None:
    source, read, turn = BytesSource(body), b"", 0
    while data := source.read(steps[turn % len(steps)]):
        assert len(data) <= steps[turn % len(steps)]
        read, turn = read + data, turn + 1
    assert read == body


def test_a_slow_reader_stops_the_loop_from_taking_more() -> None:
    async def fill() -> int:
        given_bytes = 0

        async def receive() -> MutableMapping[str, Any]:
            nonlocal given_bytes
            given_bytes += MIB
            return {"type": "http.request", "body": b"x" * MIB, "more_body": True}

        bridge = BodyBridge(receive)
        pump = asyncio.create_task(bridge.pump())
        await asyncio.sleep(0.2)
        assert given_bytes == HIGH_WATER_BYTES
        await asyncio.to_thread(bridge.read, MIB)
        await asyncio.sleep(0.05)
        assert given_bytes == HIGH_WATER_BYTES  # not drained below the lower mark yet
        for _ in range(3):
            await asyncio.to_thread(bridge.read, MIB)
        await asyncio.sleep(0.05)
        bridge.close()
        await pump
        return given_bytes

    assert asyncio.run(fill()) <= 2 * HIGH_WATER_BYTES


def test_a_client_that_leaves_ends_the_reading() -> None:
    with pytest.raises(Fault, match="broke off"):
        asyncio.run(bridged(messages([b"half"], broken=True), [10]))


def test_a_client_that_is_silent_gives_its_thread_back() -> None:
    async def wait() -> None:
        bridge = BodyBridge(asyncio.Event().wait, idle_seconds=0.05)  # type: ignore[arg-type]
        await asyncio.to_thread(bridge.read, 10)

    with pytest.raises(Fault, match="Idle connections will be closed"):
        asyncio.run(wait())


def test_a_client_that_drips_gives_its_thread_back() -> None:
    async def drip() -> None:
        async def receive() -> MutableMapping[str, Any]:
            await asyncio.sleep(0.02)
            return {"type": "http.request", "body": b"x", "more_body": True}

        bridge = BodyBridge(receive, idle_seconds=0.2)
        pump = asyncio.create_task(bridge.pump())
        try:
            while True:
                await asyncio.to_thread(bridge.read, 10)
        finally:
            bridge.close()
            await pump

    begun = time.monotonic()
    with pytest.raises(Fault, match="Idle connections will be closed"):
        asyncio.run(drip())
    assert time.monotonic() - begun < 60


class Zeros:
    """A file of so many zeros that takes no memory."""

    def __init__(self, size: int) -> None:
        self.size, self.place = size, 0

    def read(self, size: int = -1) -> bytes:
        left = self.size - self.place
        size = left if size < 0 else min(size, left)
        self.place += size
        return bytes(size)

    def seek(self, place: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self.place, os.SEEK_END: self.size}[whence]
        self.place = base + place
        return self.place

    def tell(self) -> int:
        return self.place


def test_memory_stays_flat_both_ways(own_service: RunningService) -> None:
    client = own_service.client("s3", config=Config(read_timeout=120))
    client.create_bucket(Bucket="bucket")
    client.put_object(Bucket="bucket", Key="small", Body=b"1" * MIB)
    client.get_object(Bucket="bucket", Key="small")["Body"].read()
    before = peak_bytes(own_service.pid)
    client.put_object(Bucket="bucket", Key="big", Body=Zeros(BIG_BYTES), ContentLength=BIG_BYTES)
    body = client.get_object(Bucket="bucket", Key="big")["Body"]
    time.sleep(0.5)  # a client that does not read yet
    assert sum(len(block) for block in body.iter_chunks(MIB)) == BIG_BYTES
    assert peak_bytes(own_service.pid) - before < 60e6


def peak_bytes(pid: int) -> int:
    with open(f"/proc/{pid}/status") as file:  # noqa: PTH123 - a file of the kernel
        line = next(line for line in file if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def test_a_download_that_breaks_off_is_let_go(own_service: RunningService) -> None:
    client = own_service.client("s3")
    client.create_bucket(Bucket="bucket")
    client.put_object(Bucket="bucket", Key="big", Body=b"x" * (64 * MIB))
    url = client.generate_presigned_url("get_object", {"Bucket": "bucket", "Key": "big"})
    for _ in range(5):
        with urllib.request.urlopen(url) as answer:
            answer.read(1000)
    process = psutil.Process(own_service.pid)

    def reads() -> bool:
        return any("buckets" in one.path and "big" in one.path for one in process.open_files())

    until(lambda: not reads(), process.open_files)


def test_an_upload_that_breaks_off_leaves_nothing(own_service: RunningService) -> None:
    client = own_service.client("s3")
    client.create_bucket(Bucket="bucket")
    url = client.generate_presigned_url("put_object", {"Bucket": "bucket", "Key": "half"})
    target = url.removeprefix(own_service.url)
    with socket.create_connection(("127.0.0.1", own_service.port)) as upload:
        upload.sendall(
            f"PUT {target} HTTP/1.1\r\nHost: x\r\nContent-Length: 9000000\r\n\r\n".encode()
        )
        upload.sendall(b"x" * (2 * MIB))
    log = own_service.settings.service_log.read_text
    until(lambda: "PutObject" in log(), log)
    assert client.list_objects_v2(Bucket="bucket")["KeyCount"] == 0
    assert "400 PUT s3 PutObject" in own_service.settings.service_log.read_text()


def test_an_upload_refused_before_its_body_closes_the_connection(
    service: RunningService,
) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=30)
    connection.putrequest("PUT", "/bucket/key")
    connection.putheader("Content-Length", "5000000")
    connection.putheader("Expect", "100-continue")
    connection.endheaders()
    answer = connection.getresponse()
    assert answer.status == 403
    assert answer.getheader("connection") == "close"
