"""The real command, as a person starts it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Clary = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def clary(tmp_path: Path) -> Clary:
    """A function that runs `clary WORDS…` in `tmp_path` and returns how it ended."""

    def run(*words: str | Path) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "CLARY_HOME": str(tmp_path / "home"), "COLUMNS": "80"}
        return subprocess.run(
            [sys.executable, "-m", "clary", *map(str, words)],
            capture_output=True,
            text=True,
            check=False,
            cwd=tmp_path,
            env=environment,
            stdin=subprocess.DEVNULL,
        )

    return run
