"""How a profiler says what goes wrong with it to the person who trains."""

from __future__ import annotations

import sys
from contextlib import suppress


def say(text: str) -> None:
    """One line on stderr; a closed stderr is no reason to stop."""
    with suppress(OSError, ValueError):
        print(f"clary profiler: {text}", file=sys.stderr, flush=True)
