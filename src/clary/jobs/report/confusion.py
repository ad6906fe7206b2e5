"""The confusion matrix: a table up to thirty classes; beyond, a picture and the worst corner."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from clary.formats.evaluation import Evaluation
from clary.jobs.pages.wording import readable

TABLE_UP_TO = 30
CORNER = 14
HOVERED_CELLS = 6000
# Middle tones that stand out on light and dark paper alike; the alpha carries the share.
RIGHT, WRONG = (42, 125, 138), (216, 84, 40)


@dataclass(frozen=True)
class Cell:
    """A count; `strength` in percent is how deep its colour is, 0 for an empty one."""

    count: int
    strength: int
    right: bool
    text: str


@dataclass(frozen=True)
class Row:
    """The pictures of one true class."""

    name: str
    total: int
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Table:
    """A matrix as rows of cells over named columns."""

    columns: tuple[str, ...]
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Overview:
    """A matrix of many classes as a picture: a pixel per pair, `uri` a PNG."""

    uri: str
    side: int
    cells: tuple[tuple[int, int, int], ...]
    names: tuple[str, ...]


def whole_table(evaluation: Evaluation) -> Table | None:
    """The matrix as a table; None when there are too many classes for one."""
    if len(evaluation.classes) > TABLE_UP_TO:
        return None
    return _table(evaluation, range(len(evaluation.classes)))


def corner_table(evaluation: Evaluation) -> Table | None:
    """The classes of the most confused pairs among themselves; None when nothing is confused."""
    chosen: dict[int, None] = {}
    for pair in evaluation.confused_pairs:
        if len(chosen.keys() | {pair.true, pair.predicted}) <= CORNER:
            chosen.update({pair.true: None, pair.predicted: None})
    return _table(evaluation, sorted(chosen)) if chosen else None


def overview(evaluation: Evaluation) -> Overview:
    """The matrix as a picture; what is right is on the diagonal."""
    side = len(evaluation.classes)
    pixels: npt.NDArray[np.uint8] = np.zeros((side, side, 4), dtype=np.uint8)
    for true, predicted, count in evaluation.confusion:
        right = true == predicted
        strength = _strength(count, evaluation.classes[true].support, right)
        pixels[true, predicted] = (*(RIGHT if right else WRONG), round(2.55 * strength))
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG", optimize=True)
    largest = sorted(evaluation.confusion, key=lambda cell: (cell[0] == cell[1], -cell[2]))
    return Overview(
        uri="data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode(),
        side=side,
        cells=tuple(largest[:HOVERED_CELLS]),
        names=tuple(readable(row.name) for row in evaluation.classes),
    )


def hover_data(picture: Overview) -> dict[str, Any]:
    """What the pointer shows over the picture."""
    return {"names": picture.names, "cells": picture.cells}


def _table(evaluation: Evaluation, chosen: Sequence[int]) -> Table:
    counts = {(true, predicted): count for true, predicted, count in evaluation.confusion}
    rows = []
    for true in chosen:
        name, total = readable(evaluation.classes[true].name), evaluation.classes[true].support
        cells = []
        for predicted in chosen:
            count = counts.get((true, predicted), 0)
            other = readable(evaluation.classes[predicted].name)
            right = true == predicted
            text = f"{count} of {total} “{name}” " + ("found" if right else f"taken for “{other}”")
            cells.append(Cell(count, _strength(count, total, right), right, text))
        rows.append(Row(name, total, tuple(cells)))
    return Table(tuple(readable(evaluation.classes[k].name) for k in chosen), tuple(rows))


def _strength(count: int, total: int, right: bool) -> int:
    if count == 0:
        return 0
    # A single mistake must be seen, so wrong answers start deeper and rise faster.
    share = count / total
    return round(12 + 80 * share) if right else round(22 + 78 * share**0.6)
