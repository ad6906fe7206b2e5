"""How a job program starts and ends: arguments in, one sentence and an exit code out.

A program is a module with

    def main(arguments: Sequence[str]) -> int:
        options = ProgramParser("check").parse_args(arguments)
        ...
        return 0

    if __name__ == "__main__":
        run_program(main)

Heavy libraries are imported inside `main`, so that Ctrl-C during an import ends cleanly too.
What ends a process, and with which exit code, stands in `clary.endings`.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

from clary.cores import limit_threads, usable_cores
from clary.endings import exit_code
from clary.errors import UsageError

_PR_SET_PDEATHSIG = 1


class ProgramParser(argparse.ArgumentParser):
    """An argparse parser whose complaints are a UsageError, and which guesses no abbreviations."""

    def __init__(self, program: str, description: str | None = None) -> None:
        super().__init__(
            prog=f"python -m clary.jobs.{program}", description=description, allow_abbrev=False
        )

    def error(self, message: str) -> NoReturn:
        """Refuse the arguments.

        Raises:
            UsageError: always.
        """
        raise UsageError(f"{message}; `{self.prog} --help` lists the arguments")


def run_program(
    main: Callable[[Sequence[str]], int],
    arguments: Sequence[str] | None = None,
    *,
    computes: bool = True,
) -> NoReturn:
    """Run a program's `main` and end the process.

    Args:
        main: takes the arguments without the program's name, returns the exit code.
        arguments: what to pass; those of the process by default.
        computes: whether it computes itself, on the cores that a control group leaves; what it
            only starts for a person has that person's environment.

    Raises:
        SystemExit: always, with the exit code.
    """
    if computes:
        limit_threads(os.environ, usable_cores())
    sys.exit(exit_code(main, sys.argv[1:] if arguments is None else arguments))


def end_with(parent: int) -> None:
    """Have the system kill this process when the thread that began it ends.

    Args:
        parent: the process of that thread; if it has ended already, this one ends now.
    """
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(128 + signal.SIGKILL)
