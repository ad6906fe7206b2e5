from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from clary.jobs.pages.drawing import thinned, ticks


@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6))
def test_ticks_are_few_and_within(low, span):
    places = ticks(low, low + span)
    assert 1 <= len(places) <= 6
    assert all(low - span * 1e-6 <= place <= low + span * (1 + 1e-6) for place in places)


@given(st.integers(1, 5000), st.integers(2, 700))
def test_thinning_keeps_the_ends(count, most):
    kept = thinned(count, most)
    assert len(kept) <= max(most, 1)
    assert (kept[0], kept[-1]) == (0, count - 1)
