"""Classify pictures with a saved model: `python -m clary.jobs.predict MODEL pictures…`.

MODEL is a model folder, a model.tar.gz, a job directory or a job's name. Pictures are files,
folders (walked), http(s) addresses, or - for stdin. A picture that cannot be read has a row that
says so, and the exit code is 1 at the end.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import Any

from clary.formats.model_archive import locate_model
from clary.formats.picture_inputs import find_pictures
from clary.formats.prediction import FORMATS, write_predictions
from clary.jobs.program import ProgramParser, run_program
from clary.settings import Settings


def main(arguments: Sequence[str]) -> int:
    """Classify the pictures that the arguments name.

    Returns:
        1 when a picture could not be read, else 0.

    Raises:
        FormatError: there is no such model, or it is damaged.
        UsageError: an argument is not understood.
    """
    parser = ProgramParser("predict", __doc__)
    parser.add_argument("model", help="a model folder, a model.tar.gz, or a job")
    parser.add_argument("inputs", nargs="+", help="files, folders, http(s) addresses, or -")
    parser.add_argument("--top", type=int, metavar="K", help="classes to rank; 2 in the table")
    parser.add_argument("--format", choices=FORMATS, default="table")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--workers", type=int, help="threads that decode; one a core by default")
    parser.add_argument("--device", help="cpu or cuda; a GPU when there is one")
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    given = parser.parse_args(arguments)
    for name in ("top", "batch_size", "workers"):
        value = getattr(given, name)
        if value is not None and value < 1:
            parser.error(f"--{name.replace('_', '-')} is {value}: give 1 or more")
    location = locate_model(given.model, Settings.from_environment().jobs_dir)

    from clary.vision.prediction import Encoded, Predictor

    predictor = Predictor.load(
        location,
        device=given.device,
        batch_size=given.batch_size,
        workers=given.workers,
        precision=given.precision,
    )
    pictures: Iterator[Any] = find_pictures(given.inputs, sys.stdin.buffer, Encoded)
    wanted = given.top or (2 if given.format == "table" else len(predictor.description.classes))
    return int(write_predictions(predictor.predict(pictures, wanted), given.format, given.top))


if __name__ == "__main__":
    run_program(main)
