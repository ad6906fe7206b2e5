"""Classify pictures with a saved model: `python -m clary.jobs.predict MODEL pictures…`.

MODEL is a model folder, a model.tar.gz, a job directory or a job's name. Pictures are files,
folders (walked), http(s) addresses, or - for stdin. A picture that cannot be read has a row that
says so, and the exit code is 1 at the end.

On a CPU the converted network answers, as on an endpoint, where the cache has it: a training
leaves one there. Its probabilities differ from the model's by a thousandth at most, as a rule by
far less.
"""

from __future__ import annotations

import os
import sys
from argparse import Namespace
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clary.errors import FormatError
from clary.formats.converted_model import ConvertedModel
from clary.formats.model_archive import locate_model
from clary.formats.picture_inputs import find_pictures
from clary.formats.prediction import FORMATS, write_predictions
from clary.gpus import has_visible_gpu
from clary.jobs.program import ProgramParser, run_program
from clary.settings import Settings

if TYPE_CHECKING:
    from clary.jobs.converted_network import ConvertedNetwork


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

    network = _converted(location, given)
    sizes = {"batch_size": given.batch_size, "workers": given.workers}
    if network is None:
        predictor = Predictor.load(
            location, device=given.device, precision=given.precision, **sizes
        )
    else:
        predictor = Predictor(network, **sizes)
    pictures: Iterator[Any] = find_pictures(given.inputs, sys.stdin.buffer, Encoded)
    wanted = given.top or (2 if given.format == "table" else len(predictor.description.classes))
    return int(write_predictions(predictor.predict(pictures, wanted), given.format, given.top))


def _converted(model: Path, given: Namespace) -> ConvertedNetwork | None:
    """What answers as the model does without torch, which takes seconds to import.

    None where there is none, or where a GPU or another precision is wanted.
    """
    on_gpu = has_visible_gpu(os.environ) if given.device is None else given.device != "cpu"
    if on_gpu or given.precision != "fp32" or not model.is_dir():
        return None
    converted = ConvertedModel.of(model, Settings.from_environment().cache_dir)
    if not converted.has("fp32"):
        return None
    from clary.jobs.converted_network import ConvertedNetwork

    try:
        return ConvertedNetwork(converted.folder)
    except FormatError as error:
        print(f"clary: {error}; the model itself answers now", file=sys.stderr)
        return None


if __name__ == "__main__":
    run_program(main)
