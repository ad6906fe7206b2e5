"""The `clary` command: shows the welcome page, or finds the verb and runs it.

Every mistake ends in one sentence and an exit code: see `clary.endings`.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import NoReturn

from clary import __version__
from clary.endings import exit_code


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run a command line and end the process.

    Args:
        arguments: what follows `clary`; the process's own by default.

    Raises:
        SystemExit: always, with the exit code.
    """
    sys.exit(exit_code(_run, sys.argv[1:] if arguments is None else arguments))


def _run(words: Sequence[str]) -> int:
    if words and words[0] == "help":
        words = [*words[1:2], "--help"]
    if not words or words[0] in {"--help", "-h"}:
        from clary.cli.welcome import print_welcome

        print_welcome()
        return 0
    if words[0] == "--version":
        print(f"clary {__version__}")
        return 0
    if words[0] == "exec" and words[1:2] not in ([], ["--help"], ["-h"]):
        # What follows belongs to another program, `--help` and all.
        from clary.cli.client import execute, parted_words

        options, command = parted_words(words[1:])
        if not options:
            return execute(command)
        words = ["exec", *options, "--", *command]
    from clary.cli.parser import run_verb

    return run_verb(words)
