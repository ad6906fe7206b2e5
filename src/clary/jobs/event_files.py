"""Write event files for TensorBoard: `python -m clary.jobs.event_files PLACE FOLDER`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from clary.debugger.history import History
from clary.debugger.tensorboard import write_event_files
from clary.errors import DataError
from clary.jobs.program import ProgramParser, run_program


def main(arguments: Sequence[str]) -> int:
    """Write the files and say what to type next; returns 0.

    Raises:
        UsageError: an argument is not understood.
        DataError: nothing was saved there.
        FormatError: a file is damaged.
        StorageError: S3 refuses, or the folder cannot be written.
    """
    parser = ProgramParser("event_files", __doc__)
    parser.add_argument("place", help="a folder or an S3 URI, read with the environment's keys")
    parser.add_argument("folder", type=Path, help="gets a folder for each mode")
    options = parser.parse_args(arguments)
    written = write_event_files(History.open(options.place), options.folder)
    if not written:
        raise DataError(f"nothing was saved in {options.place}: there is nothing to write")
    print(f"tensorboard --logdir {options.folder}")
    return 0


if __name__ == "__main__":
    run_program(main)
