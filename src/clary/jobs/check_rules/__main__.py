"""`python -m clary.jobs.check_rules FOLDER`."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from clary.endings import exit_code
from clary.jobs.program import ProgramParser


def main(arguments: Sequence[str]) -> int:
    """Check the rules that the folder's request names, until the training has ended."""
    parser = ProgramParser("check_rules", "Check the rules of a training while it runs.")
    parser.add_argument("folder", type=Path, help="holds request.json; takes the results")
    folder = parser.parse_args(arguments).folder

    from clary.jobs.check_rules.watching import Watch

    watch = Watch(folder)
    signal.signal(signal.SIGTERM, lambda *_: watch.stop())
    watch.run()
    return 0


if __name__ == "__main__":
    code = exit_code(main, sys.argv[1:])
    sys.stderr.flush()
    # A thread that a person's rule has left behind must not hold up the job's end.
    os._exit(code)
