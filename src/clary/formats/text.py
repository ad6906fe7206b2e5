"""Text that every format can hold."""

from __future__ import annotations

import re

_SURROGATES = re.compile("[\ud800-\udfff]")


def valid_text(name: str) -> str:
    """A name with a mark in place of what is no text, which neither JSON nor UTF-8 can hold.

    Python keeps the bytes of a file's name that are not UTF-8 as lone surrogates.
    """
    return _SURROGATES.sub("\N{REPLACEMENT CHARACTER}", name)
