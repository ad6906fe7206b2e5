"""Single values as text: in XML, query strings, form bodies and headers."""

from __future__ import annotations

import base64
import binascii
import json
import math
from typing import Any

from clary.service.protocol.malformed import Malformed
from clary.service.protocol.models import Shape
from clary.service.protocol.timestamps import format_timestamp, parse_timestamp

_INTEGERS = {"integer", "long"}
_FLOATS = {"float", "double"}
# Enough for every size and every time; int() itself refuses more than 4,300 digits.
_MOST_DIGITS = 20


def value_from_text(shape: Shape, text: str) -> Any:
    """Read one value of a scalar shape.

    Raises:
        Malformed: the text is no value of this kind.
    """
    kind = shape.type_name
    if kind in {"string", "character"}:
        return text
    try:
        if kind in _INTEGERS:
            return int(text)
        if kind in _FLOATS:
            return float(text)
        if kind == "boolean":
            return {"true": True, "false": False}[text.strip().lower()]
        if kind == "timestamp":
            return parse_timestamp(text)
        if kind == "blob":
            return base64.b64decode(text, validate=True)
    except (ValueError, KeyError, binascii.Error) as error:
        raise Malformed(f"{text!r} is not of type {kind}") from error
    raise Malformed(f"a {kind} was expected where {text!r} stands")


def natural_number(text: str) -> int | None:
    """A number that is written in at most 20 decimal digits; None when it is none."""
    if len(text) > _MOST_DIGITS or not (text.isascii() and text.isdecimal()):
        return None
    return int(text)


def text_from_value(shape: Shape, value: Any, default_timestamp: str) -> str:
    """Write one value of a scalar shape."""
    kind = shape.type_name
    if kind == "boolean":
        return "true" if value else "false"
    if kind == "timestamp":
        form = shape.serialization.get("timestampFormat", default_timestamp)
        return str(format_timestamp(value, form))
    if kind == "blob":
        return base64.b64encode(_as_bytes(value)).decode()
    if kind in _FLOATS:
        return _float_text(float(value))
    return str(value)


def json_header_value(shape: Shape, text: str) -> Any:
    """Read a header whose string is JSON in base64.

    Raises:
        Malformed: it is not.
    """
    try:
        return json.loads(base64.b64decode(text))
    except (ValueError, binascii.Error) as error:
        raise Malformed(f"{text!r} is not JSON in base64") from error


def _float_text(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return repr(value)


def _as_bytes(value: Any) -> bytes:
    return value.encode() if isinstance(value, str) else bytes(value)
