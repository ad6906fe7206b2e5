"""Write a job's steps in SageMaker's files: `python -m clary.jobs.framework_events FOLDER…`.

See `clary.profiler.framework_events`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from clary.jobs.program import ProgramParser, run_program


def main(arguments: Sequence[str]) -> int:
    """Write the files and print how many they are; returns 0.

    Raises:
        UsageError: an argument is not understood.
        FormatError: what was recorded is damaged.
        StorageError: the folder cannot be written.
    """
    parser = ProgramParser("framework_events", __doc__)
    parser.add_argument("folders", nargs="+", type=Path, help="a host's profile each, algo-1 first")
    parser.add_argument("-o", "--output", type=Path, required=True, help="gets framework/pevents")
    options = parser.parse_args(arguments)
    from clary.profiler.framework_events import write_framework_events
    from clary.profiler.profile import Profile

    written = write_framework_events(Profile.open(options.folders), options.output)
    print(len(written))
    return 0


if __name__ == "__main__":
    run_program(main)
