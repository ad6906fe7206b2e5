from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clary.errors import ModelError
from clary.vision import metrics
from clary.vision.calibration import HIGHEST, LOWEST, fit_temperature


def honest(count: int, classes: int = 5, seed: int = 0):
    """Logits whose softmax is exactly the chance of each label."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(count, classes)) * 2
    chances = metrics.softmax(logits)
    labels = (rng.random((count, 1)) > chances.cumsum(axis=1)).sum(axis=1)
    return logits, labels.clip(0, classes - 1)


@pytest.mark.parametrize("factor", [0.4, 1.0, 3.0])
def test_the_factor_that_spoiled_the_logits_is_found(factor):
    logits, labels = honest(4000)
    assert fit_temperature(logits * factor, labels) == pytest.approx(factor, rel=0.1)


def test_no_temperature_nearby_is_likelier():
    logits, labels = honest(3000, seed=1)
    best = fit_temperature(logits * 2, labels)
    cost = [metrics.losses(logits * 2 / t, labels).mean() for t in (best * 0.9, best, best * 1.1)]
    assert cost[1] == min(cost)


def test_calibration_mends_overconfidence():
    logits, labels = honest(4000, seed=2)
    spoiled = logits * 4
    temperature = fit_temperature(spoiled[::2], labels[::2])
    before = metrics.reliability(metrics.softmax(spoiled[1::2]), labels[1::2])
    after = metrics.reliability(metrics.softmax(spoiled[1::2] / temperature), labels[1::2])
    assert after.expected_error < before.expected_error / 3


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 30), st.integers(2, 5), st.floats(1e-3, 1e3), st.integers(0, 999))
def test_any_logits_give_a_bounded_temperature_and_the_same_predictions(n, classes, scale, seed):
    rng = np.random.default_rng(seed)
    logits, labels = rng.normal(size=(n, classes)) * scale, rng.integers(0, classes, n)
    temperature = fit_temperature(logits, labels)
    assert LOWEST <= temperature <= HIGHEST
    np.testing.assert_array_equal((logits / temperature).argmax(1), logits.argmax(1))


def test_forty_right_answers_do_not_make_the_model_infinitely_sure():
    labels = np.arange(40) % 4
    temperature = fit_temperature(np.eye(4)[labels] * 4.0, labels)
    assert 0.3 < temperature < 1
    assert fit_temperature(np.zeros((40, 4)), labels) == pytest.approx(1, abs=0.01)


def test_nan_is_an_error():
    with pytest.raises(ModelError, match="NaN"):
        fit_temperature([[np.nan, 0.0]], [0])
