"""Real clients in their own environments, and a real service for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from tests.clients.environments import (
    ClientEnvironment,
    awscli,
    notebook,
    s3fs,
    sagemaker3,
    smart_open,
    through_clary,
)
from tests.conftest import own_clary

__all__ = ["awscli", "notebook", "s3fs", "sagemaker3", "smart_open"]

SCRIPTS = Path(__file__).parent / "scripts"
RunScript = Callable[..., str]


@pytest.fixture(scope="module")
def clary_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """One service for the tests of a module, and torch behind it where a test says CLARY_WARM=1."""
    with own_clary(tmp_path_factory.mktemp("clary") / "home") as environment:
        yield {**environment, "CLARY_WARM": "0"}


@pytest.fixture
def run_script(clary_environment: Mapping[str, str], tmp_path: Path) -> RunScript:
    """A function that runs a script as people would: through `clary exec`, with their Python."""

    def run(client: ClientEnvironment, script: str, *words: str | Path, **more: str) -> str:
        command = (client.python, SCRIPTS / script, *words)
        return execute({**clary_environment, **more}, tmp_path, *command)

    return run


def execute(environment: Mapping[str, str], folder: Path, *command: str | Path) -> str:
    """Run a command through `clary exec`; returns what it prints."""
    ended = through_clary(environment, folder, *command)
    assert ended.returncode == 0, f"{ended.stdout[-3000:]}\n{ended.stderr[-5000:]}"
    return ended.stdout
