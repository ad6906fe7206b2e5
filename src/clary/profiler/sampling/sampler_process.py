"""The sampler in a process of its own, for trainings that keep Python busy."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import clary
from clary.profiler.recording.telling import say

_SECONDS_TO_END = 10.0
_OF_PROFILER = "CLARY_PROFILER_"


class SamplerProcess:
    """Runs `clary.jobs.sample_system` beside this process; it ends with it at the latest.

    Who owns it: the process that has made it; in a fork of that one it does nothing.
    """

    def __init__(self, folder: Path, node: str, interval_ms: int) -> None:
        """Begin. A sampler that cannot be started is told of, and is no reason to stop.

        Args:
            folder: the host's folder of the profiler.
            node: `algo-<n>`.
            interval_ms: between two snapshots.
        """
        self._owner = os.getpid()
        self._process: subprocess.Popen[bytes] | None = None
        command = [sys.executable, "-m", "clary.jobs.sample_system", str(folder.absolute())]
        command += ["--parent", str(self._owner), "--node", node, "--interval-ms", str(interval_ms)]
        try:
            self._process = subprocess.Popen(
                command,
                # Modules of the training's folder must not take the place of Python's.
                cwd="/",
                env=program_environment(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
            )
        except OSError as error:
            say(f"the machine is not sampled, because {sys.executable} does not start: {error}")

    def stop(self) -> None:
        """Have a last snapshot taken, and end; a second time does nothing."""
        process, self._process = self._process, None
        if process is None or os.getpid() != self._owner:
            return
        process.terminate()
        try:
            process.wait(_SECONDS_TO_END)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def program_environment() -> dict[str, str]:
    """Of a program of Clary's: this process's, but for what would have it watched itself."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(_OF_PROFILER)}
    return {**kept, "PYTHONPATH": str(Path(clary.__file__).parent.parent), "PYTHONSAFEPATH": "1"}
