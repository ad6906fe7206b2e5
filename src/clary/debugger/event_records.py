"""Records of TensorBoard's event files.

The layout is that of TensorFlow's `event.proto`, `summary.proto`, `histogram.proto` and
`record_writer.h`.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Callable, Sequence
from functools import cache

import numpy as np

from clary.formats.tensor_log.entries import Histogram, Statistics

_VERSION = "brain.Event:2"
# A check is stored turned by 15 bits and shifted by this, as the record format has it.
_MASK = 0xA282EAD8
_POLYNOMIAL = 0x82F63B78  # Castagnoli's, its bits turned round


def header(at: float) -> bytes:
    """What a file begins with; `at` is in seconds since 1970."""
    return _record(_event(at, 0, _text(3, _VERSION)))


def event(at: float, step: int, summary: bytes) -> bytes:
    """A record of a summary that was seen at a step."""
    return _record(_event(at, step, summary))


def scalar(tag: str, value: float) -> bytes:
    """A summary of a number; one that 32 bits cannot hold becomes infinite."""
    with np.errstate(over="ignore"):
        return _summary(tag, _key(2, 5) + np.array(value, dtype="<f4").tobytes())


def histogram(tag: str, statistics: Statistics, held: Histogram) -> bytes:
    """A summary of how values are spread."""
    bins = len(held.counts)
    width = (held.high - held.low) / max(1, bins)
    limits = [held.low + width * (place + 1) for place in range(bins)]
    total = float(sum(held.counts))
    mean = statistics.mean or 0.0
    squares = (statistics.std or 0.0) ** 2 + mean**2
    low = held.low if statistics.min is None else statistics.min
    high = held.high if statistics.max is None else statistics.max
    numbers = (low, high, total, mean * total, squares * total)
    content = b"".join(_double(place, number) for place, number in enumerate(numbers, 1))
    # A first bucket without a count tells where the second one begins.
    content += _doubles(6, [held.low, *limits]) + _doubles(7, [0.0, *held.counts])
    return _summary(tag, _bytes(5, content))


def _summary(tag: str, value: bytes) -> bytes:
    return _bytes(5, _bytes(1, _text(1, tag) + value))


def _event(at: float, step: int, content: bytes) -> bytes:
    return _double(1, at or time.time()) + _key(2, 0) + _varint(step) + content


def _record(content: bytes) -> bytes:
    length = struct.pack("<Q", len(content))
    return length + _check(length) + content + _check(content)


def _check(content: bytes) -> bytes:
    crc = _crc32c()(content)
    turned = (crc >> 15 | crc << 17) & 0xFFFFFFFF
    return struct.pack("<I", (turned + _MASK) & 0xFFFFFFFF)


@cache
def _crc32c() -> Callable[[bytes], int]:
    try:
        import anycrc
    except ImportError:  # a hook's interpreter need not have it, though it is much quicker
        return _crc32c_by_table
    calculate: Callable[[bytes], int] = anycrc.Model("CRC32C").calc
    return calculate


def _crc32c_by_table(content: bytes) -> int:
    table, crc = _table(), 0xFFFFFFFF
    for byte in content:
        crc = table[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


@cache
def _table() -> tuple[int, ...]:
    table: Sequence[int] = range(256)
    for _ in range(8):
        table = [crc >> 1 ^ (_POLYNOMIAL if crc & 1 else 0) for crc in table]
    return tuple(table)


def _key(number: int, wire: int) -> bytes:
    return _varint(number << 3 | wire)


def _varint(value: int) -> bytes:
    content = bytearray()
    while value > 0x7F:
        content.append(value & 0x7F | 0x80)
        value >>= 7
    content.append(value)
    return bytes(content)


def _bytes(number: int, content: bytes) -> bytes:
    return _key(number, 2) + _varint(len(content)) + content


def _text(number: int, text: str) -> bytes:
    return _bytes(number, text.encode())


def _double(number: int, value: float) -> bytes:
    return _key(number, 1) + struct.pack("<d", value)


def _doubles(number: int, values: Sequence[float]) -> bytes:
    return _bytes(number, struct.pack(f"<{len(values)}d", *values))
