"""How a job program starts and ends: arguments in, one sentence and an exit code out.

A program is a module with

    def main(arguments: Sequence[str]) -> int:
        options = ProgramParser("check").parse_args(arguments)
        ...
        return 0

    if __name__ == "__main__":
        run_program(main)

Heavy libraries are imported inside `main`, so that Ctrl-C during an import ends cleanly too.

| what ends it                | on stderr               | exit code           |
|-----------------------------|-------------------------|---------------------|
| `main` returns              |                         | what it returns     |
| a ClaryError                | `clary: <its sentence>` | its `exit_code`     |
| Ctrl-C                      | `clary: stopped`        | 130                 |
| the reader of stdout leaves |                         | 141                 |
| anything else               | the traceback           | 1: a bug of Clary's |
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

from clary.errors import ClaryError, UsageError

EXIT_INTERRUPTED = 130
EXIT_BROKEN_PIPE = 141


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
    main: Callable[[Sequence[str]], int], arguments: Sequence[str] | None = None
) -> NoReturn:
    """Run a program's `main` and end the process.

    Args:
        main: takes the arguments without the program's name, returns the exit code.
        arguments: what to pass; those of the process by default.

    Raises:
        SystemExit: always, with the exit code.
    """
    sys.exit(exit_code(main, sys.argv[1:] if arguments is None else arguments))


def exit_code(main: Callable[[Sequence[str]], int], arguments: Sequence[str]) -> int:
    """Run `main`; what ends it becomes one sentence on stderr and the exit code returned."""
    try:
        code = main(arguments)
        # Here, not at the interpreter's exit, so that a reader who left is noticed inside the try.
        sys.stdout.flush()
    except ClaryError as error:
        return _say(str(error), error.exit_code)
    except KeyboardInterrupt:
        return _say("stopped", EXIT_INTERRUPTED)
    except BrokenPipeError:
        # What is left in the buffer goes nowhere, or Python complains once more when it exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_BROKEN_PIPE
    return code


def _say(sentence: str, code: int) -> int:
    print(f"clary: {sentence}", file=sys.stderr, flush=True)
    return code
