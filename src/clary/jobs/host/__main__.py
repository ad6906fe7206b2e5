"""A host in a fresh interpreter: `python -m clary.jobs.host LAUNCH_FILE LOCK_DESCRIPTOR`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from clary.endings import exit_code
from clary.jobs.host.life import live


def main(arguments: Sequence[str]) -> int:
    """Run the host until its end file is written."""
    launch_file, lock = arguments
    return live(Path(launch_file), int(lock), may_run_here=False)


if __name__ == "__main__":
    sys.exit(exit_code(main, sys.argv[1:]))
