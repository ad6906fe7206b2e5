"""The real command, as a person starts it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from clary.settings import Settings

Clary = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def home(clary_environment: Mapping[str, str]) -> Settings:
    """The home that the command uses."""
    return Settings(home=Path(clary_environment["CLARY_HOME"]))


@pytest.fixture
def clary(tmp_path: Path, clary_environment: Mapping[str, str]) -> Clary:
    """A function that runs `clary WORDS…` in `tmp_path` and returns how it ended."""

    def run(*words: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "clary", *map(str, words)],
            capture_output=True,
            text=True,
            check=False,
            cwd=tmp_path,
            env={**clary_environment, "COLUMNS": "80"},
            stdin=subprocess.DEVNULL,
        )

    return run
