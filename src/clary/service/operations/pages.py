"""Opaque tokens for answers that come in pages."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from clary.service.faults import validation

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


def listed(
    items: Iterable[T],
    orders: Mapping[str, Callable[[T], tuple[Any, ...]]],
    asked: Mapping[str, Any],
    *,
    first_by: str,
    size: int,
) -> tuple[list[T], dict[str, str]]:
    """The page that a List operation asks for, and the member of its answer that leads on.

    Args:
        items: all that pass its filters.
        orders: what SortBy names.
        asked: its parameters, of which SortBy, SortOrder, MaxResults and NextToken count.
        first_by: what SortBy is when it is not given.
        size: MaxResults when it is not given.

    Raises:
        Fault: the token is not one of ours.
    """
    order = orders[asked.get("SortBy", first_by)]
    descending = asked.get("SortOrder") == "Descending"
    every = sorted(items, key=order, reverse=descending)
    size = asked.get("MaxResults", size)
    try:
        chosen, token = page(every, order, asked.get("NextToken"), size, descending=descending)
    except ValueError as error:
        raise validation(f"Invalid NextToken: {error}.") from error
    return chosen, {} if token is None else {"NextToken": token}
