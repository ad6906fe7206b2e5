"""An interpreter that has torch and the `smdebug` name imported, for many small scripts."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from clary.formats.client_environment import SHIMS

SCRIPTS = Path(__file__).parent / "scripts"
LIMIT_SECONDS = 120


@dataclass(frozen=True)
class Ended:
    """How a script has ended."""

    returncode: int
    stdout: str
    stderr: str


RunWatched = Callable[..., Ended]


@pytest.fixture(scope="module")
def smdebug_path() -> Iterator[None]:
    """`smdebug` is Clary's own in this process too, for what needs no torch."""
    sys.path.insert(0, str(SHIMS))
    yield
    sys.path.remove(str(SHIMS))


@pytest.fixture(scope="module")
def warm() -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, str(SCRIPTS / "warm.py")],
        env={**os.environ, "PYTHONPATH": str(SHIMS), "OMP_NUM_THREADS": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        yield process
        assert process.stdin is not None
        process.stdin.close()


@pytest.fixture
def run_watched(warm: subprocess.Popen[str], tmp_path: Path) -> RunWatched:
    """Run a script, given as its path or its text, in the test's own folder."""

    def run(script: str | Path, words: Sequence[str] = (), **environment: str) -> Ended:
        if isinstance(script, str):
            path = tmp_path / "script.py"
            path.write_text(script)
        else:
            path = script
        request = {
            "script": str(path),
            "words": list(words),
            "folder": str(tmp_path),
            "environment": environment,
        }
        assert warm.stdin is not None
        assert warm.stdout is not None
        warm.stdin.write(json.dumps(request) + "\n")
        warm.stdin.flush()
        ended, _, _ = select.select([warm.stdout], [], [], LIMIT_SECONDS)
        texts = [(tmp_path / name).read_text() for name in ("stdout", "stderr")]
        if not ended:
            # With the script, which is a child of it.
            os.killpg(warm.pid, signal.SIGKILL)
            raise TimeoutError(f"{path} runs for more than {LIMIT_SECONDS} s: {texts}")
        return Ended(int(warm.stdout.readline()), *texts)

    return run
