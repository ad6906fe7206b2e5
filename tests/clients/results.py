"""What a client's script has found out: its last line, `RESULT {…}`."""

from __future__ import annotations

import json
from typing import Any


def result_of(output: str) -> dict[str, Any]:
    """The JSON behind `RESULT`."""
    lines = [line for line in output.splitlines() if line.startswith("RESULT ")]
    assert lines, output
    found: dict[str, Any] = json.loads(lines[-1].removeprefix("RESULT "))
    return found
