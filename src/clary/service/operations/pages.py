"""Opaque tokens for answers that come in pages."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

T = TypeVar("T")


def write_token(position: Any) -> str:
    """A token that says where the next page begins; `position` is anything that JSON can say."""
    text = json.dumps(position, separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode()


def read_token(token: str) -> Any:
    """What `write_token` was given.

    Raises:
        ValueError: the token is not one of ours.
    """
    try:
        return json.loads(base64.urlsafe_b64decode(token.encode("ascii", "strict")))
    except (binascii.Error, UnicodeError, ValueError) as error:
        raise ValueError("The token is not one that this service gave") from error


def page(
    items: Sequence[T],
    place: Callable[[T], Sequence[Any]],
    token: str | None,
    size: int,
    *,
    descending: bool = False,
) -> tuple[list[T], str | None]:
    """The items after the place that the token names, at most `size`, and the token of the rest.

    What is added or removed between two pages moves nothing else.

    Args:
        items: all items, sorted by `place`.
        place: what items are sorted by, unique, of numbers and texts.
        token: where to go on; None for the first page.
        size: at most so many.
        descending: whether the last place comes first.

    Raises:
        ValueError: the token is not one of ours.
    """
    begin = 0
    if token is not None:
        last = read_token(token)
        try:
            begin = sum(
                [*place(item)] >= last if descending else [*place(item)] <= last for item in items
            )
        except TypeError as error:
            raise ValueError("The token belongs to another request") from error
    chosen = list(items[begin : begin + size])
    more = begin + size < len(items)
    return chosen, write_token([*place(chosen[-1])]) if more else None
