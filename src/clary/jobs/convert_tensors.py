"""Bring what the original smdebug wrote into Clary's tensor log, for readers of that alone:
`python -m clary.jobs.convert_tensors PLACE FOLDER`.

What was brought earlier is not read again, so that it can be called while a training goes on. Of
whole tensors the statistics are brought.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from clary.debugger.history import History
from clary.formats.tensor_log import TensorLog, TensorLogWriter
from clary.formats.tensor_log.entries import Capture, Statistics
from clary.jobs.program import ProgramParser, run_program


def main(arguments: Sequence[str]) -> int:
    """Bring what is new; returns 0.

    Raises:
        UsageError: an argument is not understood.
        FormatError: a file is damaged.
        StorageError: S3 refuses, or the folder cannot be written.
    """
    parser = ProgramParser("convert_tensors", __doc__)
    parser.add_argument("place", help="a folder or an S3 URI, read with the environment's keys")
    parser.add_argument("folder", type=Path, help="of the log; made when it is missing")
    options = parser.parse_args(arguments)
    convert(History.open(options.place), options.folder)
    return 0


def convert(history: History, folder: Path) -> None:
    """Bring what is new of a history into the log of a folder, as that of one worker.

    Raises:
        FormatError: a file is damaged.
        StorageError: S3 refuses, or the folder cannot be written.
    """
    known = TensorLog(folder).steps()
    after = known[-1].number if known else -1
    captures: dict[int, tuple[dict[str, float], dict[str, Statistics]]] = {}
    for name, about in history.names().items():
        scalars = history.scalars(name, after=after)
        for number, value in scalars.items():
            captures.setdefault(number, ({}, {}))[0][name] = value
        if about.kinds - {"scalar"}:
            for number, row in history.statistics(name, after=after).items():
                if number not in scalars:
                    captures.setdefault(number, ({}, {}))[1][name] = row
    writer = TensorLogWriter(folder, collections=tuple(history.collections.values()))
    for number in sorted(captures):
        step = history.at(number)
        writer.write(Capture(step, scalars=captures[number][0], statistics=captures[number][1]))
    writer.flush()
    if history.ended:
        writer.close()


if __name__ == "__main__":
    run_program(main)
