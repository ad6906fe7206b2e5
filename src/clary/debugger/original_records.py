"""Reading what smdebug's own library writes: a record, an event, a summary, a tensor.

    record   8 bytes length · 4 bytes check · an Event · 4 bytes check
    Event    field 5: Summary;  Summary field 1: Value, one or more
    Value    field 1: the tag (the tensor's name), field 8: TensorProto
    TensorProto   field 1: kind, 2: shape, 4: the bytes, 5–16: values one by one

Fields are those of TensorFlow's `event.proto`, `summary.proto`, `tensor.proto` and
`tensor_shape.proto`; `https://protobuf.dev/programming-guides/encoding` says how they are laid
down. Only what the library writes is read.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from clary.formats.tensor_log.entries import Array

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
# TensorFlow's DataType, by number.
_KINDS = {
    1: "<f4",
    2: "<f8",
    3: "<i4",
    4: "u1",
    5: "<i2",
    6: "i1",
    8: "<c8",
    9: "<i8",
    10: "?",
    17: "<u2",
    18: "<c16",
    19: "<f2",
    22: "<u4",
    23: "<u8",
}
_EVENT_SUMMARY, _SUMMARY_VALUE = 5, 1
_VALUE_TAG, _VALUE_TENSOR = 1, 8
_TENSOR_KIND, _TENSOR_SHAPE, _TENSOR_CONTENT = 1, 2, 4
_TENSOR_STRINGS = 8
# Where small tensors stand value by value: field → kind of one value.
_TENSOR_VALUES = {5: "<f4", 6: "<f8", 7: "varint", 10: "varint", 11: "varint"}
_SHAPE_DIMENSION, _DIMENSION_SIZE = 2, 1


class _Field(NamedTuple):
    number: int
    wire: int
    value: int
    content: bytes


def read_record(data: bytes) -> tuple[str, Array]:
    """The name and the tensor of the first record in `data`.

    Raises:
        ValueError: it is none, is cut off, or holds another kind of tensor.
    """
    if len(data) < 16:
        raise ValueError(f"a record of {len(data)} bytes is cut off")
    (length,) = struct.unpack_from("<Q", data)
    event = data[12 : 12 + length]
    if len(event) != length:
        raise ValueError(f"a record of {length} bytes is cut off after {len(event)}")
    for summary in _all(event, _EVENT_SUMMARY):
        for value in _all(summary.content, _SUMMARY_VALUE):
            tags = [field.content for field in _all(value.content, _VALUE_TAG)]
            tensors = [field.content for field in _all(value.content, _VALUE_TENSOR)]
            if tags and tensors:
                return tags[0].decode(), _tensor(tensors[0])
    raise ValueError("a record holds no tensor")


def _tensor(data: bytes) -> Array:
    fields = list(_fields(data))
    shape: list[int] = []
    for field in fields:
        if field.number == _TENSOR_SHAPE:
            for dimension in _all(field.content, _SHAPE_DIMENSION):
                sizes = [size.value for size in _all(dimension.content, _DIMENSION_SIZE)]
                shape.append(sizes[0] if sizes else 0)
    strings = [field.content for field in fields if field.number == _TENSOR_STRINGS]
    kind = next((field.value for field in fields if field.number == _TENSOR_KIND), 0)
    if strings and kind in {0, 7}:
        return np.array([text.decode() for text in strings])
    if kind not in _KINDS:
        raise ValueError(f"a tensor of kind {kind}")
    dtype = np.dtype(_KINDS[kind])
    content = b"".join(field.content for field in fields if field.number == _TENSOR_CONTENT)
    if content or 0 in shape:
        return np.frombuffer(content, dtype=dtype).reshape(shape)
    return _spelled_out(fields, dtype, shape)


def _spelled_out(fields: list[_Field], dtype: np.dtype[np.generic], shape: list[int]) -> Array:
    values: list[float] = []
    for field in fields:
        kind = _TENSOR_VALUES.get(field.number)
        if kind is None:
            continue
        if field.wire == _BYTES and kind == "varint":
            values += _varints(field.content)
        elif field.wire == _BYTES:
            values += np.frombuffer(field.content, dtype=kind).tolist()
        elif kind == "varint":
            values.append(field.value)
        else:
            values += np.frombuffer(field.content, dtype=kind).tolist()
    if dtype.kind == "i":
        # Negative numbers stand there as 64 bits without a sign.
        values = [value - (1 << 64) if value >= 1 << 63 else value for value in values]
    held = np.array(values, dtype=dtype)
    wanted = int(np.prod(shape))
    if held.size == 1 and wanted > 1:
        held = np.repeat(held, wanted)
    return held.reshape(shape)


def _all(data: bytes, number: int) -> Iterator[_Field]:
    return (field for field in _fields(data) if field.number == number)


def _fields(data: bytes) -> Iterator[_Field]:
    place = 0
    while place < len(data):
        key, place = _varint(data, place)
        number, wire = key >> 3, key & 7
        value, content = 0, b""
        if wire == _VARINT:
            value, place = _varint(data, place)
        elif wire in {_FIXED64, _FIXED32}:
            width = 8 if wire == _FIXED64 else 4
            content, place = data[place : place + width], place + width
        elif wire == _BYTES:
            size, place = _varint(data, place)
            content, place = data[place : place + size], place + size
        else:
            raise ValueError(f"a field of wire type {wire}")
        if place > len(data):
            raise ValueError("a field is cut off")
        yield _Field(number, wire, value, content)


def _varints(data: bytes) -> list[float]:
    values: list[float] = []
    place = 0
    while place < len(data):
        value, place = _varint(data, place)
        values.append(value)
    return values


def _varint(data: bytes, place: int) -> tuple[int, int]:
    value, shift = 0, 0
    while place < len(data):
        byte = data[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
        shift += 7
    raise ValueError("a number is cut off")
