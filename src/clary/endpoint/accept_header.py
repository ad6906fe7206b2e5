"""The Accept header of a request: what an answer may be, and how much each of it is wanted.

RFC 9110 sections 12.4.2 and 12.5.1.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

ANYTHING = "*/*"
_QUALITY = re.compile(r"(0(\.\d*)?|1(\.0*)?)")


@dataclass(frozen=True, slots=True)
class Wish:
    """One element of the header.

    kind:       a media type, or a range such as `image/*`, in lower case
    quality:    from 0, refused, to 1
    parameters: by name, all in lower case, without `q`
    """

    kind: str
    quality: float
    parameters: Mapping[str, str]


def parse_accept(accept: str) -> list[Wish]:
    """What is asked for, in the header's order; empty means that anything will do."""
    return [wish for element in accept.lower().split(",") if (wish := _wish(element))]


def _wish(element: str) -> Wish | None:
    kind, *pieces = (piece.strip() for piece in element.split(";"))
    if not kind:
        return None
    parameters = {}
    for piece in pieces:
        name, _, value = piece.partition("=")
        parameters[name.strip()] = value.strip()
    quality = parameters.pop("q", "1")
    # A quality that cannot be read counts as none given.
    known = float(quality) if _QUALITY.fullmatch(quality) else 1.0
    return Wish(ANYTHING if kind == "*" else kind, known, parameters)
