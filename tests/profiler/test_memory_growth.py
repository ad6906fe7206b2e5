"""What is growing memory, and what is not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clary.profiler.memory_growth import growth
from clary.profiler.readings import Samples

TIMES = np.arange(0.0, 60.0, 0.5)
MB = 1e6


def noisy(values: np.ndarray, seed: int = 0, noise: float = 2 * MB) -> Samples:
    return Samples(TIMES, values + np.random.default_rng(seed).normal(0, noise, len(TIMES)))


def test_a_leak() -> None:
    found = growth(noisy(1e9 + 5 * MB * TIMES))
    assert found is not None
    assert found.per_s == pytest.approx(5 * MB, rel=0.1)
    assert found.seconds == pytest.approx(45, abs=1)
    assert found.risen == pytest.approx(225 * MB, rel=0.1)


def test_a_leak_in_steps_and_with_peaks() -> None:
    stairs = 1e9 + 40 * MB * np.floor(TIMES / 5)
    peaks = np.where(np.arange(len(TIMES)) % 7 == 0, 200 * MB, 0.0)
    assert growth(noisy(stairs + peaks)) is not None


@pytest.mark.parametrize(
    "values",
    [
        np.full(len(TIMES), 1e9),
        1e9 + 300 * MB * (TIMES > 30),
        1e9 + 300 * MB * (1 - np.exp(-TIMES / 6)),
        1e9 + 200 * MB * np.sin(TIMES / 3),
        2e9 - 5 * MB * TIMES,
    ],
    ids=["level", "one jump", "a cache that fills", "waves", "falling"],
)
def test_no_leak(values: np.ndarray) -> None:
    assert growth(noisy(values)) is None


@given(st.integers(0, 2**32))
def test_noise_is_hardly_ever_a_leak_of_any_size(seed: int) -> None:
    found = growth(noisy(np.full(len(TIMES), 1e9), seed))
    assert found is None or found.risen < 4 * MB


@given(st.integers(0, 11))
def test_too_little_says_nothing(count: int) -> None:
    assert growth(Samples(TIMES[:count], MB * TIMES[:count])) is None


def test_a_long_series_is_thinned() -> None:
    times = np.arange(0.0, 36_000.0, 0.5)
    found = growth(Samples(times, 1e9 + 1e4 * times))
    assert found is not None
    assert found.per_s == pytest.approx(1e4, rel=0.01)
