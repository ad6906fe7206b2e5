"""From a stream to a temporary file, whole and on the disk, with its checksums."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

from clary.formats.files import storage_errors
from clary.object_store.digests import Digests
from clary.object_store.errors import LongerThanAnnounced

BLOCK_BYTES = 1 << 20
_numbers = itertools.count()


class Readable(Protocol):
    """A file, or a request's body."""

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes; b"" at the end."""


@contextmanager
def temporary_file(folder: Path) -> Iterator[tuple[Path, int]]:
    """A new file in a folder on the store's disk, open for writing; removed unless renamed.

    Raises:
        StorageError: the disk is full, or the folder cannot be written.
    """
    path = folder / f"{os.getpid()}-{next(_numbers)}"
    with storage_errors(path):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        yield path, descriptor
    finally:
        os.close(descriptor)
        with suppress(FileNotFoundError):
            path.unlink()


def blocks(source: Readable, limit: int | None = None) -> Iterator[bytes]:
    """What a stream still gives, at most `limit` bytes."""
    left = limit
    while left is None or left > 0:
        block = source.read(BLOCK_BYTES if left is None else min(BLOCK_BYTES, left))
        if not block:
            return
        if left is not None:
            left -= len(block)
        yield block


def write_blocks(
    descriptor: int,
    given: Iterable[bytes],
    algorithms: Iterable[str],
    *,
    path: Path,
    offset: int = 0,
    size: int | None = None,
) -> Digests:
    """Write blocks one after another and take their checksums. Nothing is forced to the disk.

    Raises:
        LongerThanAnnounced: more than `size` bytes came; none behind them is written.
        StorageError: the disk is full.
    """
    digests = Digests(algorithms)
    for block in given:
        if size is not None and digests.size + len(block) > size:
            raise LongerThanAnnounced(size)
        view = memoryview(block)
        with storage_errors(path):
            while view:
                written = os.pwrite(descriptor, view, offset)
                view = view[written:]
                offset += written
        digests.update(block)
    return digests


@contextmanager
def received(
    folder: Path,
    given: Iterable[bytes],
    algorithms: Iterable[str] = (),
    check: Callable[[Digests], None] | None = None,
) -> Iterator[tuple[Path, Digests]]:
    """A temporary file with all blocks, on the disk. `check` may refuse it by raising.

    Raises:
        StorageError: the disk is full, or the folder cannot be written.
    """
    with temporary_file(folder) as (path, descriptor):
        digests = write_blocks(descriptor, given, algorithms, path=path)
        if check is not None:
            check(digests)
        with storage_errors(path):
            os.fsync(descriptor)
        yield path, digests
