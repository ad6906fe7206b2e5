from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.metrics import (
    balanced_accuracy_score,
    brier_score_loss,
    log_loss,
    precision_recall_fscore_support,
)

from clary.errors import DataError, ModelError
from clary.vision import metrics


@st.composite
def answers(draw, max_classes=7):
    classes = draw(st.integers(1, max_classes))
    count = draw(st.integers(1, 40))
    # Few distinct values, so that ties happen.
    logits = draw(hnp.arrays(np.float64, (count, classes), elements=st.sampled_from(range(-3, 4))))
    labels = draw(hnp.arrays(np.int64, count, elements=st.integers(0, classes - 1)))
    return logits, labels


@given(answers(), st.integers(1, 7))
def test_top_k_is_membership_in_the_sorted_classes(given_answers, k):
    logits, labels = given_answers
    naive = [
        label in sorted(range(len(row)), key=lambda c: (-row[c], c))[:k]
        for row, label in zip(logits.tolist(), labels.tolist(), strict=True)
    ]
    assert metrics.top_k_accuracy(logits, labels, k) == pytest.approx(np.mean(naive))


@given(answers())
def test_top_1_agrees_with_argmax(given_answers):
    logits, labels = given_answers
    assert metrics.top_k_accuracy(logits, labels, 1) == (logits.argmax(1) == labels).mean()


@given(answers())
def test_figures_per_class_are_scikit_learns(given_answers):
    logits, labels = given_answers
    classes = logits.shape[1]
    predicted = logits.argmax(1)
    confusion = metrics.confusion_matrix(predicted, labels, classes)
    assert all(
        confusion[t, p] == ((labels == t) & (predicted == p)).sum()
        for t in range(classes)
        for p in range(classes)
    )
    counts = metrics.per_class(confusion)
    precision, recall, f1, support = precision_recall_fscore_support(
        labels, predicted, labels=range(classes), zero_division=np.nan
    )
    np.testing.assert_allclose(counts.precision, precision)
    np.testing.assert_allclose(counts.recall, recall)
    np.testing.assert_allclose(counts.f1, f1)
    np.testing.assert_array_equal(counts.support, support)
    present = np.flatnonzero(support)
    for ours, average in zip(metrics.averages(counts), ("macro", "weighted"), strict=True):
        theirs = precision_recall_fscore_support(
            labels, predicted, labels=present, average=average, zero_division=0
        )[:3]
        np.testing.assert_allclose((ours.precision, ours.recall, ours.f1), theirs)
    assert metrics.balanced_accuracy(counts) == pytest.approx(np.nanmean(recall))


@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true")
def test_balanced_accuracy_is_scikit_learns():
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(60, 4)), rng.integers(0, 3, 60)
    counts = metrics.per_class(metrics.confusion_matrix(logits.argmax(1), labels, 4))
    expected = balanced_accuracy_score(labels, logits.argmax(1))
    assert metrics.balanced_accuracy(counts) == pytest.approx(expected)


@given(answers())
def test_calibration_error_is_the_definition(given_answers):
    logits, labels = given_answers
    probabilities = metrics.softmax(logits)
    confidence, right = probabilities.max(1), probabilities.argmax(1) == labels
    error = 0.0
    for k in range(15):
        inside = (confidence > k / 15) & (confidence <= (k + 1) / 15)
        if inside.any():
            error += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    table = metrics.reliability(probabilities, labels)
    assert table.count.sum() == len(labels)
    # A confidence on an edge may fall to either side by one rounding.
    on_edge = np.isclose((confidence * 15) % 1, 0) | np.isclose((confidence * 15) % 1, 1)
    if not on_edge.any():
        assert table.expected_error == pytest.approx(error, abs=1e-12)
    assert 0 <= table.expected_error <= 1


def test_a_sure_answer_falls_into_the_last_bin():
    table = metrics.reliability(np.array([[1.0, 0.0]]), np.array([1]))
    assert table.count[-1] == 1
    assert table.expected_error == 1


def test_losses_and_brier_are_scikit_learns():
    rng = np.random.default_rng(1)
    logits, labels = rng.normal(size=(50, 4)) * 3, rng.integers(0, 4, 50)
    probabilities = metrics.softmax(logits)
    assert metrics.losses(logits, labels).mean() == pytest.approx(
        log_loss(labels, probabilities, labels=range(4))
    )
    expected = brier_score_loss(labels, probabilities, labels=range(4))
    assert metrics.brier_score(probabilities, labels) == pytest.approx(expected)


def test_softmax_survives_huge_logits():
    logits = np.array([[1e4, 0.0, -1e4]])
    np.testing.assert_allclose(metrics.softmax(logits), [[1, 0, 0]])
    assert metrics.losses(logits, np.array([2]))[0] == pytest.approx(2e4)


@given(st.integers(1, 5000), st.data())
def test_wilson_interval_solves_its_equation(total, data):
    right = data.draw(st.integers(0, total))
    low, high = metrics.wilson_interval(right, total)
    share = right / total
    assert 0 <= low <= share <= high <= 1
    # An end is the true share whose own standard error the observed one lies z away from.
    for end in (low, high):
        if 0 < end < 1:
            distance = abs(share - end) / math.sqrt(end * (1 - end) / total)
            assert distance == pytest.approx(1.96, abs=1e-3)


def test_wilson_interval_of_a_known_example():
    low, high = metrics.wilson_interval(477, 500)
    assert (low, high) == pytest.approx((0.9319, 0.9693), abs=2e-4)
    with pytest.raises(DataError, match="5 of 4"):
        metrics.wilson_interval(5, 4)


def test_confused_pairs_are_sorted_by_count_then_share():
    confusion = np.array([[5, 2, 0], [2, 1, 3], [0, 0, 9]])
    assert metrics.confused_pairs(confusion) == [(1, 2, 3), (1, 0, 2), (0, 1, 2)]
    assert metrics.confused_pairs(confusion, limit=1) == [(1, 2, 3)]
    assert metrics.confused_pairs(np.eye(3, dtype=np.int64)) == []


@pytest.mark.parametrize(
    ("logits", "labels", "error", "says"),
    [
        ([[0.0, 1.0], [np.nan, 1.0]], [0, 1], ModelError, "1 of 2 pictures with NaN.*number 1"),
        ([[0.0, np.inf]], [0], ModelError, "NaN or infinity"),
        ([[0.0, 1.0]], [2], DataError, "labels run from 2 to 2"),
        ([[0.0, 1.0]], [-1], DataError, "must be 0 to 1"),
        ([[0.0, 1.0]], [0.5], DataError, "whole numbers"),
        ([[0.0, 1.0]], [0, 1], DataError, "do not belong together"),
        (np.zeros((0, 2)), np.zeros(0, dtype=int), DataError, "no pictures"),
    ],
)
def test_what_cannot_be_judged_is_said(logits, labels, error, says):
    with pytest.raises(error, match=says):
        metrics.checked(logits, labels)


def test_the_classes_must_be_as_many_as_the_columns():
    with pytest.raises(DataError, match="2 columns but there are 3 classes"):
        metrics.checked([[0.0, 1.0]], [0], classes=3)
