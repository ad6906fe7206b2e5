"""Pictures in JSON.

[[[r, g, b], …], …]                     a picture, (H, W, 3), whole numbers from 0 to 255
[picture, …]                            several, all of one size
{"instances": […]}                      the same, as TensorFlow's servers are asked
[{"b64": "…"}, {"url": "…"}, …]         picture files, in base64 or to be fetched
{"b64": "…"}, {"url": "…"}              one of them
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt

from clary.endpoint.codecs.arrays import Pixels, pictures_of_array
from clary.endpoint.invocation import Refusal

_NUMBERS = {int, float}
# Pictures, rows, columns, colours.
_DEEPEST = 4
_IN_JSON = {str: "text", bool: "true or false", dict: "objects", type(None): "null"}


@dataclass(frozen=True)
class FileInBase64:
    """A picture file that stood in the body."""

    content: bytes


@dataclass(frozen=True)
class FileUrl:
    """Where a picture file is to be fetched."""

    url: str


def pictures_of_json(body: bytes) -> list[Pixels | FileInBase64 | FileUrl]:
    """What a JSON body holds.

    Raises:
        Refusal: 400, it is not JSON, or holds something else.
    """
    try:
        content = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Refusal(400, f"the body is not JSON: {_short(error)}") from error
    if isinstance(content, dict):
        single = [content] if {"b64", "url"} & content.keys() else None
        content = content.get("instances", single)
    if not isinstance(content, list) or not content:
        raise Refusal(
            400, 'the body holds no pictures: send a list, or {"instances": a list}, or {"b64": …}'
        )
    if isinstance(content[0], dict):
        return [_file(item) for item in content]
    return [*pictures_of_array(_array(content))]


def _array(content: list[Any]) -> npt.NDArray[Any]:
    """The array of nested lists of numbers.

    What they hold is looked at first: of text numpy would claim the longest one's size for each.
    """
    level, kinds = content, set(map(type, content))
    for _ in range(_DEEPEST - 1):
        if kinds != {list}:
            break
        level = list(chain.from_iterable(level))
        kinds = set(map(type, level))
    found = [name for kind, name in _IN_JSON.items() if kind in kinds]
    if found:
        raise Refusal(
            400, f"the lists hold {' and '.join(found)}: send whole numbers from 0 to 255"
        )
    if kinds == {list}:
        raise Refusal(
            400, f"the lists are over {_DEEPEST} deep: send pictures as (H, W, 3) or (N, H, W, 3)"
        )
    try:
        if kinds - _NUMBERS:
            raise ValueError("numbers stand beside lists")
        return np.asarray(content)
    except (ValueError, OverflowError) as error:
        raise Refusal(
            400, f"the pictures of one request must have one shape: {_short(error)}"
        ) from error


def _file(item: Any) -> FileInBase64 | FileUrl:
    if not isinstance(item, dict) or len(item.keys() & {"b64", "url"}) != 1:
        raise Refusal(400, 'an instance is neither {"b64": …} nor {"url": …}: send one of them')
    kind = "b64" if "b64" in item else "url"
    value = item[kind]
    if not isinstance(value, str):
        raise Refusal(400, f'"{kind}" of an instance is no text')
    if kind == "url":
        return FileUrl(value)
    try:
        content = base64.b64decode(value, validate=True)
    except ValueError as error:
        raise Refusal(400, f'"b64" of an instance is not base64: {_short(error)}') from error
    if not content:
        raise Refusal(400, '"b64" of an instance is empty: send the bytes of a picture file')
    return FileInBase64(content)


def _short(error: Exception) -> str:
    return str(error)[:200]
