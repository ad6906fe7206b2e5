"""Real clients in their own environments, and a real service for them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from tests.clients.environments import (
    ClientEnvironment,
    awscli,
    notebook,
    s3fs,
    sagemaker2,
    sagemaker3,
    smart_open,
)

__all__ = ["awscli", "notebook", "s3fs", "sagemaker2", "sagemaker3", "smart_open"]

SCRIPTS = Path(__file__).parent / "scripts"
RunScript = Callable[..., str]


@pytest.fixture
def run_script(clary_environment: Mapping[str, str], tmp_path: Path) -> RunScript:
    """A function that runs a script as people would: through `clary exec`, with their Python."""

    def run(client: ClientEnvironment, script: str, *words: str | Path, **more: str) -> str:
        command = [str(client.python), str(SCRIPTS / script), *map(str, words)]
        return execute({**clary_environment, **more}, tmp_path, *command)

    return run


def execute(environment: Mapping[str, str], folder: Path, *command: str) -> str:
    """Run a command through `clary exec`; returns what it prints."""
    ended = subprocess.run(
        [sys.executable, "-m", "clary", "exec", "--", *command],
        env=environment,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert ended.returncode == 0, f"{ended.stdout[-3000:]}\n{ended.stderr[-5000:]}"
    return ended.stdout
