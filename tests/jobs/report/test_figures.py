from __future__ import annotations

import base64

import numpy as np
import pytest

from clary.jobs.report.confusion import corner_table, overview, whole_table
from clary.jobs.report.curves import learning_curves
from clary.jobs.report.material import Epoch
from clary.jobs.report.pictures import MOST_BYTES, thumbnail
from clary.jobs.report.reliability import reliability_diagram
from clary.vision.evaluation import evaluate_logits


def made(classes: int, count: int):
    rng = np.random.default_rng(classes)
    labels = rng.integers(0, classes, count)
    logits = rng.normal(size=(count, classes)) + 2 * np.eye(classes)[labels]
    return evaluate_logits(logits, labels, [f"c{k}" for k in range(classes)], temperature=1.3)


def test_curves_leave_a_gap_where_a_figure_is_missing():
    rows = [
        Epoch(k + 1, 5, None if k == 2 else 1.0 / (k + 1), 0.5, 0.9, 0.6, 1e-3, 1.0, 9.0, k == 3)
        for k in range(5)
    ]
    loss, accuracy = learning_curves(rows, rows[3])
    assert loss.curves[0].path.count("M") == 2
    assert loss.points[2]["train"] is None
    assert accuracy.best is not None
    assert accuracy.best.text == "best: epoch 4"


def test_one_epoch_is_a_dot():
    row = Epoch(1, 1, 1.0, 0.5, 1.0, 0.5, 1e-3, 1.0, 9.0, True)
    loss, _ = learning_curves([row], row)
    assert len(loss.curves[0].dots) == 1


def test_thousands_of_epochs_are_thinned_but_the_best_stays():
    rows = [Epoch(k + 1, 9000, 1.0, 0.5, 1.0, 0.5, 1e-3, 1.0, 9.0, k == 4321) for k in range(9000)]
    loss, _ = learning_curves(rows, rows[4321])
    assert len(loss.points) <= 601
    assert 4322 in [point["epoch"] for point in loss.points]


@pytest.mark.parametrize("classes", [2, 30, 31, 133, 1000])
def test_the_matrix_suits_the_number_of_classes(classes):
    evaluation = made(classes, 900)
    table = whole_table(evaluation)
    assert (table is None) == (classes > 30)
    if table is None:
        corner, picture = corner_table(evaluation), overview(evaluation)
        assert corner is not None
        assert 2 <= len(corner.columns) <= 14
        assert picture.side == classes
        assert len(picture.uri) < 200_000
    else:
        assert sum(cell.count for row in table.rows for cell in row.cells) == 900


def test_the_diagram_has_a_dot_for_every_bin_with_answers():
    evaluation = made(4, 500)
    diagram = reliability_diagram(evaluation)
    filled = sum(1 for row in evaluation.calibrated.bins if row.count)
    assert len(diagram.lines[1].dots) == filled
    assert "1.30" in diagram.sentence


@pytest.mark.parametrize("shape", [(2000, 3000, 3), (8, 8, 3), (40, 900, 3)])
def test_thumbnails_are_small_even_of_noise(shape):
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    made_thumbnail = thumbnail(pixels)
    encoded = base64.b64decode(made_thumbnail.uri.partition(",")[2])
    assert len(encoded) <= MOST_BYTES
    assert max(made_thumbnail.width, made_thumbnail.height) <= 300
