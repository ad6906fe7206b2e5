"""A history as event files, which TensorBoard reads.

    write_event_files(History.open(folder), Path("runs"))
    tensorboard --logdir runs

Each mode is a run of its own, so that training and validation share their axes; steps count over
all modes. Losses and statistics become scalars, histograms stay histograms. The layout is that of
TensorFlow's `event.proto`, `summary.proto` and `histogram.proto`.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path

from clary.debugger.history import History
from clary.formats.files import replacing
from clary.formats.tensor_log.entries import Histogram, Mode, Statistics

_VERSION = "brain.Event:2"
_DRAWN = ("mean", "std", "min", "max", "l2", "update_l2", "zeros", "nans", "infs")
_MODES = (Mode.TRAIN, Mode.EVAL, Mode.PREDICT, Mode.GLOBAL)
# A check is stored turned by 15 bits and shifted by this, as the record format has it.
_MASK = 0xA282EAD8


def write_event_files(history: History, folder: Path) -> list[Path]:
    """Write what a history holds; the files, one for each mode in which something was seen.

    Args:
        history: of any training.
        folder: gets a folder for each mode, by its name; what was exported before is replaced.

    Raises:
        StorageError: the folder cannot be written.
        FormatError: a file of the history is damaged or gone.
    """
    written = []
    for mode in _MODES:
        numbers = {step.number for step in map(history.at, history.steps()) if step.mode is mode}
        if not numbers:
            continue
        path = folder / mode.name / f"events.out.tfevents.{0:010}.clary"
        with replacing(path) as temporary, temporary.open("wb") as file:
            began = history.at(min(numbers)).at
            file.write(_record(_event(began, 0, _text(3, _VERSION))))
            for number, summary in _summaries(history, numbers):
                file.write(_record(_event(history.at(number).at, number, summary)))
        written.append(path)
    return written


def _summaries(history: History, numbers: set[int]) -> Iterator[tuple[int, bytes]]:
    for name, held in history.names().items():
        tag = name.replace(":", "_")
        scalars = history.scalars(name)
        for number, value in scalars.items():
            if number in numbers:
                yield number, _summary(tag, _scalar(value))
        if held.kinds.isdisjoint({"statistics", "raw"}):
            continue
        for number, statistics in history.statistics(name).items():
            if number not in numbers or number in scalars:
                continue
            for measure in _DRAWN:
                value = getattr(statistics, measure)
                if value is not None:
                    yield number, _summary(f"{tag}/{measure}", _scalar(float(value)))
            if statistics.histogram is not None:
                yield number, _summary(tag, _histogram(statistics, statistics.histogram))


def _scalar(value: float) -> bytes:
    return _key(2, 5) + struct.pack("<f", value)


def _histogram(statistics: Statistics, held: Histogram) -> bytes:
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
    return _bytes(5, content)


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
    import anycrc

    calculate: Callable[[bytes], int] = anycrc.Model("CRC32C").calc
    return calculate


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
