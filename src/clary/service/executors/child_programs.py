"""Programs of Clary's own that write files of a job or a model, each in a short process."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from clary.errors import ClaryError
from clary.service.executors.surroundings import inherited_environment

_SECONDS = 300


def run_program(module: str, arguments: Sequence[str], what: str, home: Path | None = None) -> None:
    """Run `python -m MODULE ARGUMENTS…` to its end.

    Args:
        module: of Clary.
        arguments: of the program.
        what: it writes, in the plural, for sentences.
        home: Clary's, for programs that use its caches.

    Raises:
        ClaryError: it fails, takes more than five minutes, or cannot be started.
    """
    own = {} if home is None else {"CLARY_HOME": str(home)}
    try:
        done = subprocess.run(
            [sys.executable, "-m", module, *arguments],
            env={
                **inherited_environment(),
                **own,
                "PYTHONSAFEPATH": "1",
                "OMP_NUM_THREADS": "1",
            },
            cwd="/",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_SECONDS,
            check=False,
            start_new_session=True,
        )
    except subprocess.TimeoutExpired as error:
        raise ClaryError(f"{what} took more than {_SECONDS} s to write") from error
    except OSError as error:
        raise ClaryError(f"no process can be started to write {what}: {error}") from error
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2]
        raise ClaryError(f"{what} cannot be written: {said}")
