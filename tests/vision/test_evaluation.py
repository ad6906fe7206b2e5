from __future__ import annotations

import numpy as np
import pytest

from clary.errors import DataError
from clary.vision.evaluation import evaluate_logits

CLASSES = ("ant", "bee", "wasp")


def made(count: int = 60):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, count)
    logits = rng.normal(size=(count, 3)) + 2.5 * np.eye(3)[labels]
    return logits.astype(np.float32), labels


def test_the_figures_hang_together():
    logits, labels = made()
    result = evaluate_logits(logits, labels, CLASSES, temperature=2.0)
    assert result.pictures == 60
    assert result.right == (logits.argmax(1) == labels).sum()
    assert result.interval[0] < result.accuracy < result.interval[1]
    assert (result.top_k, result.top_k_accuracy) == (3, 1.0)
    assert sum(count for _, _, count in result.confusion) == 60
    assert sum(row.support for row in result.classes) == 60
    assert sum(pair.count for pair in result.confused_pairs) == 60 - result.right
    assert sum(b.count for b in result.calibrated.bins) == 60
    assert result.calibrated.nll != result.uncalibrated.nll


def test_a_class_without_pictures_has_no_recall_and_spoils_no_average():
    logits, labels = made()
    result = evaluate_logits(logits, labels, CLASSES)
    wasp = result.classes[2]
    assert (wasp.support, wasp.recall) == (0, None)
    recalls = [row.recall for row in result.classes[:2]]
    assert result.balanced_accuracy == pytest.approx(np.mean(recalls))
    assert result.macro.recall == pytest.approx(np.mean(recalls))


def test_the_worst_mistakes_come_first_under_their_names():
    logits, labels = made()
    names = [f"picture {i}" for i in range(60)]
    result = evaluate_logits(logits, labels, CLASSES, names=names)
    losses = [mistake.loss for mistake in result.top_losses]
    assert losses == sorted(losses, reverse=True)
    assert len(losses) == 50
    worst = result.top_losses[0]
    assert worst.name == f"picture {worst.index}"
    assert worst.true == labels[worst.index]
    assert worst.loss == pytest.approx(-np.log(worst.true_probability), rel=1e-5)


def test_one_picture_is_enough_and_none_is_an_error():
    result = evaluate_logits([[3.0, 0.0]], [0], ["a", "b"])
    assert result.accuracy == 1
    assert result.interval[0] == pytest.approx(0.2065, abs=1e-3)
    assert [row.recall for row in result.classes] == [1.0, None]
    assert str(evaluate_logits([[1e9, 0.0]], [0], ["a", "b"]).top_losses[0].loss) == "0.0"
    with pytest.raises(DataError, match="no pictures"):
        evaluate_logits(np.zeros((0, 2)), np.zeros(0, dtype=int), ["a", "b"])


def test_the_summary_names_its_k():
    logits, labels = made()
    assert "top_3_accuracy" in evaluate_logits(logits, labels, CLASSES).summary()
