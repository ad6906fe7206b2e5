"""Memory stays flat however large an object is, both ways, in one piece and in parts."""

from __future__ import annotations

import io
from typing import Any

import psutil

from tests.service.conftest import RunningService

SIZE = 400 << 20
# Ten uploads and downloads at once on a loaded machine take up to 85 MiB, whatever the size is.
ALLOWED_GROWTH = 110 << 20


class Zeros(io.RawIOBase):
    """A file of zeros that takes no memory."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        self._at = offset + (0, self._at, self._size)[whence]
        return self._at

    def tell(self) -> int:
        return self._at

    def read(self, size: int = -1) -> bytes:
        left = self._size - self._at
        block = bytes(left if size < 0 else min(size, left))
        self._at += len(block)
        return block


def test_memory_stays_flat(service: RunningService, s3: Any, bucket: str) -> None:
    process = psutil.Process(service.pid)
    s3.put_object(Bucket=bucket, Key="warm", Body=b"x")
    s3.get_object(Bucket=bucket, Key="warm")["Body"].read()
    before = process.memory_info().rss
    most = 0

    def look() -> None:
        nonlocal most
        most = max(most, process.memory_info().rss - before)

    class Watching(io.RawIOBase):
        def writable(self) -> bool:
            return True

        def write(self, block: Any) -> int:
            look()
            return len(block)

    s3.put_object(Bucket=bucket, Key="whole", Body=Zeros(SIZE))
    look()
    s3.upload_fileobj(Zeros(SIZE), bucket, "parts", Callback=lambda _: look())
    for key in ("whole", "parts"):
        body = s3.get_object(Bucket=bucket, Key=key)["Body"]
        got = 0
        for block in body.iter_chunks(1 << 20):
            got += len(block)
            look()
        assert got == SIZE
        s3.download_fileobj(bucket, key, Watching())
    s3.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": "whole"})
    look()
    assert most < ALLOWED_GROWTH
