"""Whether a text is a regular expression: one rule for all that is given from outside."""

from __future__ import annotations

import re
from typing import Any


def is_regular_expression(pattern: Any) -> bool:
    """Whether `re` takes it; what overflows or nests too deep for it is none."""
    try:
        re.compile(pattern)
    except (re.error, OverflowError, RecursionError, TypeError):
        return False
    return True
