"""Trees of JSON and CBOR, read and written by a shape of the service model."""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from clary.service.protocol.malformed import Malformed
from clary.service.protocol.models import Shape
from clary.service.protocol.timestamps import UNIX, format_timestamp, parse_timestamp

_MOST_BITS = 64
_SPECIAL_FLOATS = {"NaN", "Infinity", "-Infinity"}


def read_tree(shape: Shape, tree: Any) -> Any:
    """Turn a decoded tree into parameters; what the shape does not know is left out.

    Raises:
        Malformed: a value is of another kind than the shape says.
    """
    return _READERS[shape.type_name](shape, tree)


def _read_structure(shape: Shape, tree: Any) -> dict[str, Any]:
    if not isinstance(tree, dict):
        raise Malformed(_unexpected(tree, "Structure"))
    values = {}
    for name, member in shape.members.items():
        value = tree.get(member.serialization.get("name", name))
        if value is not None:
            values[name] = read_tree(member, value)
    return values


def _read_list(shape: Shape, tree: Any) -> list[Any]:
    if not isinstance(tree, list):
        raise Malformed(_unexpected(tree, "List"))
    return [read_tree(shape.member, item) for item in tree if item is not None]


def _read_map(shape: Shape, tree: Any) -> dict[str, Any]:
    if not isinstance(tree, dict):
        raise Malformed(_unexpected(tree, "Map"))
    return {
        read_tree(shape.key, key): read_tree(shape.value, value)
        for key, value in tree.items()
        if value is not None
    }


def _read_string(shape: Shape, tree: Any) -> str:
    if not isinstance(tree, str):
        raise Malformed(_unexpected(tree, "String"))
    return tree


def _read_integer(shape: Shape, tree: Any) -> int:
    if isinstance(tree, float) and tree.is_integer():
        return int(tree)
    if not isinstance(tree, int) or isinstance(tree, bool):
        raise Malformed(_unexpected(tree, "Integer" if shape.type_name == "integer" else "Long"))
    if tree.bit_length() > _MOST_BITS:
        raise Malformed(f"a number of {tree.bit_length()} bits is no {shape.type_name}")
    return tree


def _read_float(shape: Shape, tree: Any) -> float:
    if isinstance(tree, str) and tree in _SPECIAL_FLOATS:
        return float(tree)
    if not isinstance(tree, (int, float)) or isinstance(tree, bool):
        raise Malformed(_unexpected(tree, "Double"))
    try:
        return float(tree)
    except OverflowError as error:
        raise Malformed("a number is too large for a Double") from error


def _read_boolean(shape: Shape, tree: Any) -> bool:
    if not isinstance(tree, bool):
        raise Malformed(_unexpected(tree, "Boolean"))
    return tree


def _read_timestamp(shape: Shape, tree: Any) -> datetime:
    try:
        return parse_timestamp(tree)
    except ValueError as error:
        raise Malformed(_unexpected(tree, "Timestamp")) from error


def _read_blob(shape: Shape, tree: Any) -> bytes:
    if isinstance(tree, bytes):  # CBOR
        return tree
    try:
        return base64.b64decode(_read_string(shape, tree), validate=True)
    except (ValueError, binascii.Error) as error:
        raise Malformed("the value of a blob is not base64") from error


_READERS: Mapping[str, Callable[[Shape, Any], Any]] = {
    "structure": _read_structure,
    "list": _read_list,
    "map": _read_map,
    "string": _read_string,
    "character": _read_string,
    "integer": _read_integer,
    "long": _read_integer,
    "float": _read_float,
    "double": _read_float,
    "boolean": _read_boolean,
    "timestamp": _read_timestamp,
    "blob": _read_blob,
}


def write_tree(shape: Shape, value: Any, *, binary: bool = False) -> Any:
    """Turn members into a tree for JSON, or for CBOR when `binary`; None is left out.

    Raises:
        KeyError: a member is not in the shape.
        ValueError: a timestamp is none.
    """
    kind = shape.type_name
    if kind == "structure":
        return {
            shape.members[name].serialization.get("name", name): write_tree(
                shape.members[name], member, binary=binary
            )
            for name, member in value.items()
            if member is not None
        }
    if kind == "list":
        return [write_tree(shape.member, item, binary=binary) for item in value]
    if kind == "map":
        return {
            key: write_tree(shape.value, item, binary=binary)
            for key, item in value.items()
            if item is not None
        }
    if kind == "timestamp":
        if binary:
            return parse_timestamp(value)
        return format_timestamp(value, shape.serialization.get("timestampFormat", UNIX))
    if kind == "blob":
        data = value.encode() if isinstance(value, str) else bytes(value)
        return data if binary else base64.b64encode(data).decode()
    if kind in {"float", "double"}:
        return _write_float(float(value), binary)
    return value


def _write_float(value: float, binary: bool) -> float | str:
    if binary or math.isfinite(value):
        return value
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"


def _unexpected(tree: Any, wanted: str) -> str:
    """AWS's words for a value of the wrong kind."""
    if isinstance(tree, dict):
        return "Start of structure or map found where not expected."
    if isinstance(tree, list):
        return (
            "Unexpected list element termination"
            if wanted == "List"
            else ("Start of list found where not expected")
        )
    if isinstance(tree, bool):
        kind = "TRUE_VALUE" if tree else "FALSE_VALUE"
    elif isinstance(tree, int):
        kind = "NUMBER_VALUE"
    elif isinstance(tree, float):
        kind = "DECIMAL_VALUE"
    else:
        kind = "STRING_VALUE"
    if wanted in {"Structure", "Map", "List"}:
        return "Unexpected field type"
    return f"{kind} can not be converted to {'an' if wanted == 'Integer' else 'a'} {wanted}"
