"""What the debugger saw, for TensorBoard: `python -m clary.jobs.export_board TENSORS FOLDER`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from clary.jobs.program import ProgramParser, run_program


def main(arguments: Sequence[str]) -> int:
    """Write the event files of one folder of tensors."""
    parser = ProgramParser("export_board", "Write what the debugger saw as event files.")
    parser.add_argument("tensors", type=Path, help="a job's output/tensors")
    parser.add_argument("folder", type=Path, help="gets a folder for each mode")
    options = parser.parse_args(arguments)

    from clary.debugger.history import History
    from clary.debugger.tensorboard import write_event_files

    write_event_files(History.open(options.tensors), options.folder)
    return 0


if __name__ == "__main__":
    run_program(main)
