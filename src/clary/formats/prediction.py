"""What a model says about pictures, and how `predict` prints it: other programs read that.

table   a line a picture, for people
json    an array, an element a line: {"picture", "class", "probability", "probabilities"}, or
        {"picture", "error"}
csv     picture, class, probability, class_2, probability_2, …, error
"""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, get_args

Format = Literal["table", "json", "csv"]
FORMATS: tuple[Format, ...] = get_args(Format)
_NAME_WIDTH = 48


@dataclass(frozen=True)
class Prediction:
    """What a model says about one picture.

    `ranked` holds (class, probability), the most probable first. When the picture could not be
    read, `error` says why and `ranked` is empty.
    """

    name: str
    ranked: tuple[tuple[str, float], ...] = ()
    error: str | None = None

    @property
    def label(self) -> str | None:
        """The most probable class, None when the picture could not be read."""
        return self.ranked[0][0] if self.ranked else None

    @property
    def probability(self) -> float | None:
        """The probability of `label`."""
        return self.ranked[0][1] if self.ranked else None


def write_predictions(
    predictions: Iterable[Prediction], form: Format, top: int | None = None
) -> bool:
    """Print predictions as they come; why a picture could not be read goes to stderr, too.

    Args:
        predictions: their `ranked` are no longer than what shall be shown.
        form: how to print them.
        top: how many classes were asked for; None where nobody said.

    Returns:
        Whether a picture could not be read.
    """
    write = {"table": _write_table, "json": _write_json, "csv": _write_csv}[form]
    return write(predictions, top)


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
