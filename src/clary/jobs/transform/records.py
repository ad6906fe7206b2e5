"""An object, split into records: lines, RecordIO frames or TFRecord frames.

RecordIO   magic, a word with 3 bits that say whether a record goes on in the next frame and 29
           bits of length, the data, padded to 4 bytes
TFRecord   8 bytes of length, 4 of its checksum, the data, 4 of its checksum

All words are little-endian. A record is what stands in the object, frame and all.
"""

from __future__ import annotations

import gzip
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from clary.formats.transform_plan import Split, TransformPlan
from clary.jobs.transform.failures import ObjectFailure

_RECORDIO_MAGIC = 0xCED7230A
_LENGTH_BITS = 29
_STEP_BYTES = 1 << 22
_WHOLE, _FIRST, _MIDDLE, _LAST = range(4)


@contextmanager
def opened(path: str, plan: TransformPlan) -> Iterator[BinaryIO]:
    """An object's content, unpacked where the job says so.

    Raises:
        ObjectFailure: it cannot be read.
    """
    try:
        if plan.gzip:
            with gzip.open(path, "rb") as packed:
                yield cast("BinaryIO", packed)
        else:
            with Path(path).open("rb") as plain:
                yield plain
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ObjectFailure("ClientError", f"it cannot be unpacked by gzip: {error}") from error
    except OSError as error:
        raise ObjectFailure("ClientError", f"it cannot be read: {error.strerror}") from error


def split_records(file: BinaryIO, split: Split, limit: int | None) -> Iterator[bytes]:
    """The records of an object, read one after the other. Empty lines are none.

    Args:
        file: its content.
        split: how records are told apart; with "None" the object is one.
        limit: how large a record may be, in bytes; None for any size.

    Raises:
        ObjectFailure: a record is too large, or damaged.
    """
    return _SPLITTERS[split](file, limit)


def _whole(file: BinaryIO, limit: int | None) -> Iterator[bytes]:
    yield _checked(file.read(-1 if limit is None else limit + 1), limit, "the object")


def _lines(file: BinaryIO, limit: int | None) -> Iterator[bytes]:
    while line := file.readline(-1 if limit is None else limit + 2):
        record = line.removesuffix(b"\n")
        if record.strip():
            yield _checked(record, limit, "a line")


def _recordio_frames(file: BinaryIO, limit: int | None) -> Iterator[bytes]:
    record = b""
    while head := file.read(8):
        magic, word = struct.unpack("<II", _whole_head(head, 8))
        if magic != _RECORDIO_MAGIC:
            raise ObjectFailure("ClientError", "it is no RecordIO: a frame has another beginning")
        part, length = word >> _LENGTH_BITS, word & ((1 << _LENGTH_BITS) - 1)
        _check_size(len(record) + 8 + length, limit, "a record")
        padded = length + -length % 4
        record += head + _exactly(file, padded)
        if part in {_WHOLE, _LAST}:
            yield record
            record = b""
        elif part not in {_FIRST, _MIDDLE}:
            raise ObjectFailure("ClientError", "it is no RecordIO: a frame is of no known kind")
    if record:
        raise ObjectFailure("ClientError", "it ends within a record of RecordIO")


def _tfrecord_frames(file: BinaryIO, limit: int | None) -> Iterator[bytes]:
    while head := file.read(12):
        (length,) = struct.unpack("<Q", _whole_head(head, 12)[:8])
        _check_size(length + 16, limit, "a record")
        yield head + _exactly(file, length + 4)


def _exactly(file: BinaryIO, length: int) -> bytes:
    """So many bytes, read in steps: a damaged frame may announce more than any memory has."""
    data = bytearray()
    while len(data) < length:
        block = file.read(min(length - len(data), _STEP_BYTES))
        if not block:
            raise _cut()
        data += block
    return bytes(data)


def _whole_head(data: bytes, length: int) -> bytes:
    if len(data) < length:
        raise _cut()
    return data


def _cut() -> ObjectFailure:
    return ObjectFailure("ClientError", "it ends within a record: it was cut, or is damaged")


def _checked(record: bytes, limit: int | None, what: str) -> bytes:
    _check_size(len(record), limit, what)
    return record


def _check_size(size: int, limit: int | None, what: str) -> None:
    if limit is not None and size > limit:
        raise ObjectFailure(
            "ClientError",
            f"{what} has more than {limit} bytes, which MaxPayloadInMB allows: raise it, or split "
            "the object into smaller records",
        )


_SPLITTERS: Mapping[Split, Callable[[BinaryIO, int | None], Iterator[bytes]]] = {
    "None": _whole,
    "Line": _lines,
    "RecordIO": _recordio_frames,
    "TFRecord": _tfrecord_frames,
}
