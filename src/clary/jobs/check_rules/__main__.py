"""`python -m clary.jobs.check_rules FOLDER`."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from pathlib import Path

from clary.jobs.program import ProgramParser, run_program


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
    run_program(main)
