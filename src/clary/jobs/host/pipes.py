"""Channels in Pipe mode: a FIFO for each epoch, made as the one before is read.

    <folder>/<channel>_0, <channel>_1, …

A reader gets all records of an epoch one after the other and then the end of the file. Gzipped
objects are unpacked and RecordIO is wrapped around each piece where the channel says so; shuffled
channels have another order in each epoch, the same for the same seed.
"""

from __future__ import annotations

import errno
import itertools
import json
import os
import random
import struct
import threading
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from clary.formats.launch import PipeChannel

_BLOCK_BYTES = 1 << 20
_POLL_S = 0.01
_RECORDIO_MAGIC = 0xCED7230A
_GZIP_WINDOW = 31


def make_first_pipes(channels: Iterable[PipeChannel]) -> None:
    """Make the FIFO of epoch 0 of each channel: programs expect it when they start."""
    for channel in channels:
        _make(channel, 0)


def feed_pipes(channels: Iterable[PipeChannel], failed: Callable[[str], None]) -> None:
    """Feed each channel on a thread of its own until the process ends.

    Args:
        channels: what to stream.
        failed: takes a sentence, on the channel's thread and before its reader sees the end of
            what could be read.
    """
    for channel in channels:
        threading.Thread(
            target=_feed, args=(channel, failed), name=f"pipe {channel.name}", daemon=True
        ).start()


def epoch_blocks(channel: PipeChannel, epoch: int) -> Iterator[bytes]:
    """Everything that a reader of an epoch's FIFO gets.

    Args:
        channel: what to stream.
        epoch: its number, from 0.
    """
    records = Path(channel.records).read_text(encoding="utf-8").splitlines()
    if channel.shuffle_seed is not None:
        random.Random(f"{channel.shuffle_seed} {epoch}").shuffle(records)
    for record in records:
        for piece in json.loads(record):
            blocks = _piece_blocks(piece, unpack=channel.gzip)
            yield from _wrapped(blocks) if channel.recordio else blocks


def recordio(payload: bytes) -> bytes:
    """One RecordIO record: magic, length, payload, zeros up to four bytes."""
    padding = b"\0" * (-len(payload) % 4)
    return struct.pack("<II", _RECORDIO_MAGIC, len(payload)) + payload + padding


def _feed(channel: PipeChannel, failed: Callable[[str], None]) -> None:
    try:
        for epoch in itertools.count():
            _feed_epoch(channel, epoch, failed)
    except OSError as error:
        failed(f"the channel {channel.name} cannot be streamed: {error}")


def _feed_epoch(channel: PipeChannel, epoch: int, failed: Callable[[str], None]) -> None:
    handle = _open_when_read(_path(channel, epoch))
    try:
        _make(channel, epoch + 1)
        for block in epoch_blocks(channel, epoch):
            rest = memoryview(block)
            while rest:
                rest = rest[os.write(handle, rest) :]
    except BrokenPipeError:
        pass  # the reader has had enough of this epoch
    except Exception as error:  # noqa: BLE001 - a reader must not take the part for the whole
        failed(f"the channel {channel.name} cannot be streamed: {error}")
    finally:
        os.close(handle)
        _path(channel, epoch).unlink(missing_ok=True)


def _path(channel: PipeChannel, epoch: int) -> Path:
    return Path(channel.folder, f"{channel.name}_{epoch}")


def _make(channel: PipeChannel, epoch: int) -> None:
    path = _path(channel, epoch)
    path.unlink(missing_ok=True)
    os.mkfifo(path)


def _open_when_read(path: Path) -> int:
    while True:
        try:
            handle = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            if error.errno != errno.ENXIO:  # nobody reads yet
                raise
            time.sleep(_POLL_S)
            continue
        os.set_blocking(handle, True)
        return handle


def _piece_blocks(piece: dict[str, str], *, unpack: bool) -> Iterator[bytes]:
    if "text" in piece:
        yield piece["text"].encode()
        return
    with Path(piece["path"]).open("rb") as file:
        blocks = iter(lambda: file.read(_BLOCK_BYTES), b"")
        yield from _unzipped(blocks) if unpack else blocks


def _unzipped(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """Unpack gzip, also several members one after the other."""
    unpacking = zlib.decompressobj(_GZIP_WINDOW)
    for packed in blocks:
        block = packed
        while block:
            yield unpacking.decompress(block)
            block = unpacking.unused_data
            if unpacking.eof:
                unpacking = zlib.decompressobj(_GZIP_WINDOW)


def _wrapped(blocks: Iterator[bytes]) -> Iterator[bytes]:
    yield recordio(b"".join(blocks))
