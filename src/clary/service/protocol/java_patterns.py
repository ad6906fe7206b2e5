r"""The regular expressions of the service models, which are Java's.

| in Java                                                | here                        |
|--------------------------------------------------------|-----------------------------|
| possessive quantifiers, `\p{L}` and its kin            | `regex` has them            |
| `\d`, `\w`, `\s` are ASCII                             | written out                 |
| characters beyond U+FFFF are pairs, as `\uD800\uDC00`  | joined                      |
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import regex

# Values are short and the patterns are AWS's own, yet some of them backtrack without end.
LIMIT_SECONDS = 1.0

_SURROGATES = re.compile(r"\\u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})")
_ASCII = {"d": "0-9", "w": "a-zA-Z_0-9", "s": r" \t\n\x0b\f\r"}
_TOKEN = re.compile(r"\\.|\[\^?\]?|\]|.", flags=re.DOTALL)


def matches(pattern: str, value: str) -> bool:
    """Whether a value matches as a whole; one that cannot be decided in a second does not."""
    try:
        return compiled(pattern).fullmatch(value, timeout=LIMIT_SECONDS) is not None
    except TimeoutError:
        return False


@cache
def compiled(pattern: str) -> regex.Pattern[str]:
    """A pattern of a model, ready to be matched."""
    import regex

    return regex.compile(translated(pattern), flags=regex.VERSION0)


def translated(pattern: str) -> str:
    """A pattern of Java as the `regex` library reads it."""
    parts, inside = [], False
    for token in _TOKEN.findall(_SURROGATES.sub(_joined, pattern)):
        if not inside and token.startswith("["):
            inside = True
        elif inside and token == "]":
            inside = False
        if len(token) == 2 and token[0] == "\\" and token[1] in _ASCII:
            letters = _ASCII[token[1]]
            parts.append(letters if inside else f"[{letters}]")
        else:
            parts.append(token)
    return "".join(parts)


def _joined(found: re.Match[str]) -> str:
    high, low = (int(found[number], 16) for number in (1, 2))
    return f"\\U{0x10000 + (high - 0xD800) * 0x400 + (low - 0xDC00):08X}"
