from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from clary.jobs.profile_report.envelopes import Window, coverage, envelope, merged_stretches

TIMES = st.lists(st.floats(0, 100), min_size=1, max_size=200).map(sorted)
STRETCHES = st.lists(st.tuples(st.floats(-20, 120), st.floats(0, 40)), max_size=20).map(
    lambda held: [(start, start + long) for start, long in held]
)


@settings(max_examples=60, deadline=None)
@given(TIMES, st.integers(1, 50), st.integers(0, 2**32 - 1))
def test_an_envelope_keeps_the_extremes_of_each_stretch(times, bins, seed):
    at = np.array(times)
    values = np.random.default_rng(seed).normal(size=len(at))
    drawn = envelope(at, values, Window(0.0, 100.0), bins=bins)
    numbers = np.minimum((at / 100.0 * bins).astype(int), bins - 1)
    assert sorted(set(numbers)) == drawn.bins.tolist()
    for place, low, mean, high in zip(drawn.bins, drawn.low, drawn.mean, drawn.high, strict=True):
        inside = values[numbers == place]
        assert low == inside.min()
        assert high == inside.max()
        assert np.isclose(mean, inside.mean())
    assert ((drawn.at >= 0) & (drawn.at <= 1)).all()


def test_what_is_outside_or_not_measured_is_left_out():
    times = np.array([-1.0, 1.0, 2.0, 3.0, 11.0])
    values = np.array([5.0, np.nan, 7.0, np.inf, 5.0])
    drawn = envelope(times, values, Window(0.0, 10.0), bins=10)
    assert drawn.bins.tolist() == [2]
    assert drawn.mean.tolist() == [7.0]
    assert len(envelope(times[:0], values[:0], Window(0.0, 10.0))) == 0


def test_a_pause_of_the_sampling_is_a_gap_and_its_usual_pace_is_none():
    times = np.concatenate([np.arange(0, 40, 0.5), np.arange(60, 100, 0.5)])
    drawn = envelope(times, np.ones(len(times)), Window(0.0, 100.0), bins=200)
    assert drawn.breaks.sum() == 1
    assert drawn.at[drawn.breaks][0] > 0.59


def test_weights_count_in_the_mean():
    drawn = envelope(
        np.array([1.0, 2.0]), np.array([10.0, 20.0]), Window(0.0, 10.0), bins=1,
        weights=np.array([3.0, 1.0]),
    )  # fmt: skip
    assert drawn.mean.tolist() == [12.5]


@settings(max_examples=60, deadline=None)
@given(STRETCHES, st.integers(1, 40))
def test_coverage_is_what_counting_finds(stretches, bins):
    found = coverage(stretches, Window(0.0, 100.0), bins)
    fine = np.linspace(0, 100, 100 * bins, endpoint=False) + 0.5 / bins
    inside = np.zeros(len(fine), bool)
    for start, end in stretches:
        inside |= (fine >= start) & (fine < end)
    counted = inside.reshape(bins, -1).mean(axis=1)
    assert np.abs(found - counted).max() <= 0.02 * (2 * len(stretches) + 1)


@given(STRETCHES)
def test_merged_stretches_do_not_overlap(stretches):
    held = merged_stretches(stretches)
    assert all(end > start for start, end in held)
    assert all(first[1] < second[0] for first, second in pairwise(held))
