"""Text that every format can hold, and words that every room uses."""

from __future__ import annotations

import re

_SURROGATES = re.compile("[\ud800-\udfff]")


def valid_text(name: str) -> str:
    """A name with a mark in place of what is no text, which neither JSON nor UTF-8 can hold.

    Python keeps the bytes of a file's name that are not UTF-8 as lone surrogates.
    """
    return _SURROGATES.sub("\N{REPLACEMENT CHARACTER}", name)


def counted(count: float, noun: str, plural: str | None = None) -> str:
    """A number and its noun: `1 step`, `12,300 steps`, `2 classes`.

    Args:
        count: how many.
        noun: for one of them.
        plural: for several; the noun and an s by default.
    """
    return f"{count:,.0f} {noun if count == 1 else plural or noun + 's'}"
