"""Classify pictures with a saved model: `python -m clary.jobs.predict MODEL pictures…`.

MODEL is a model folder, a model.tar.gz, a job directory or a job's name. Pictures are files,
folders (walked), http(s) addresses, or - for stdin. A picture that cannot be read has a row that
says so, and the exit code is 1 at the end.
"""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from clary.formats.model_archive import locate_model
from clary.jobs.picture_inputs import find_pictures
from clary.jobs.program import ProgramParser, run_program
from clary.settings import Settings

if TYPE_CHECKING:
    from clary.vision.prediction import Prediction

_NAME_WIDTH = 48


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
    parser.add_argument("--format", choices=("table", "json", "csv"), default="table")
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
    write = {"table": _write_table, "json": _write_json, "csv": _write_csv}[given.format]
    return int(write(predictor.predict(pictures, wanted), given.top))


def _write_table(predictions: Iterable[Prediction], top: int | None) -> bool:
    failed = 0
    for number, prediction in enumerate(predictions):
        if number == 0:
            print(f"{'picture':<{_NAME_WIDTH}}  {'class':<24}  probability  {_rest_title(top)}")
        name = _shortened(prediction.name)
        if prediction.error is not None:
            failed += 1
            print(f"{name:<{_NAME_WIDTH}}  cannot be read")
            print(f"clary: {prediction.error}", file=sys.stderr)
            continue
        rest = ", ".join(f"{label} {value:.1%}" for label, value in prediction.ranked[1:])
        answer = f"{prediction.label:<24}  {prediction.probability:>11.1%}"
        print(f"{name:<{_NAME_WIDTH}}  {answer}  {rest}")
    if failed:
        plural = "picture" if failed == 1 else "pictures"
        print(f"clary: {failed} {plural} could not be read", file=sys.stderr)
    return failed > 0


def _rest_title(top: int | None) -> str:
    return "runner-up" if top in {None, 2} else "" if top == 1 else "next"


def _shortened(name: str) -> str:
    return name if len(name) <= _NAME_WIDTH else "…" + name[-_NAME_WIDTH + 1 :]


def _write_json(predictions: Iterable[Prediction], top: int | None) -> bool:
    """One array, an element a line, so that it can be read as it grows."""
    failed = False
    print("[", end="")
    for number, prediction in enumerate(predictions):
        failed |= prediction.error is not None
        row: dict[str, Any] = {"picture": prediction.name}
        if prediction.error is not None:
            row["error"] = prediction.error
        else:
            row |= {"class": prediction.label, "probability": prediction.probability}
            row["probabilities"] = dict(prediction.ranked)
        print("," if number else "", json.dumps(row, ensure_ascii=False), sep="\n", end="")
    print("\n]")
    return failed


def _write_csv(predictions: Iterable[Prediction], top: int | None) -> bool:
    failed = False
    writer = csv.writer(sys.stdout, lineterminator="\n")
    count = top or 2
    header = ["picture", "class", "probability"]
    for rank in range(2, count + 1):
        header += [f"class_{rank}", f"probability_{rank}"]
    writer.writerow([*header, "error"])
    for prediction in predictions:
        failed |= prediction.error is not None
        cells: list[object] = [prediction.name]
        for label, value in prediction.ranked[:count]:
            cells += [label, f"{value:.6f}"]
        cells += [""] * (len(header) - len(cells))
        writer.writerow([*cells, prediction.error or ""])
    return failed


if __name__ == "__main__":
    run_program(main)
