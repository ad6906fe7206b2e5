"""Job programs forked from a process that has torch loaded, as the service does with its jobs.

A short training that is started anew spends most of its time on importing torch. That it can be
started anew as well is held by the tests of what ends it early, of `torchrun` and of executors.
"""

from __future__ import annotations

import multiprocessing
import os
import runpy
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

# The fork finds this module by its name.
sys.path.append(str(Path(__file__).resolve().parents[2]))
_SECONDS = 600.0
_FORKING = multiprocessing.get_context("forkserver")
# As `clary.jobs.warm_parent` loads them, without what replicas need.
_FORKING.set_forkserver_preload(
    [
        "torch",
        "torchvision",
        "clary.vision.checks",
        "clary.vision.finetuning",
        "clary.vision.export.serving",
        "clary.jobs.progress",
        "timm.models",
    ]
)


class ForkedProgram:
    """`python -m clary.jobs.PROGRAM ARGUMENTS…` as a process: what tests ask of a Popen."""

    def __init__(
        self, program: str, arguments: Sequence[str], environment: Mapping[str, str]
    ) -> None:
        self._args = [program, *arguments]
        with tempfile.NamedTemporaryFile(delete=False) as out:
            self._out = Path(out.name)
        with tempfile.NamedTemporaryFile(delete=False) as err:
            self._err = Path(err.name)
        self._process = _FORKING.Process(
            target=_become, args=(self._args, dict(environment), self._out, self._err)
        )
        self._process.start()

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def poll(self) -> int | None:
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        assert self._process.pid is not None
        os.kill(self._process.pid, number)

    def communicate(self, timeout: float = _SECONDS) -> tuple[str, str]:
        """Wait for its end; what it has said on stdout and on stderr."""
        self._process.join(timeout)
        if self._process.exitcode is None:
            self._process.kill()
            raise subprocess.TimeoutExpired(self._args, timeout)
        said = self._out.read_text(), self._err.read_text()
        self._out.unlink()
        self._err.unlink()
        return said


def run_forked(
    program: str, *arguments: str, environment: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    """Run a job program to its end."""
    forked = ForkedProgram(program, arguments, environment)
    out, err = forked.communicate()
    assert forked.returncode is not None
    return subprocess.CompletedProcess([program, *arguments], forked.returncode, out, err)


def _become(words: Sequence[str], environment: Mapping[str, str], out: Path, err: Path) -> None:
    """What the fork does: the streams, the environment and the arguments of the program."""
    for path, number in ((out, 1), (err, 2)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_APPEND), number)
    os.environ.clear()
    os.environ.update(environment)
    import torch

    torch.set_num_threads(int(environment.get("OMP_NUM_THREADS", "1")))
    sys.argv = list(words)
    runpy.run_module(f"clary.jobs.{words[0]}", run_name="__main__", alter_sys=True)
