"""Stretches of time: against what counting says."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from clary.profiler.intervals import Intervals

stretches = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), max_size=8)


def seconds_of(pairs: list[tuple[int, int]]) -> set[int]:
    return {second for begin, end in pairs for second in range(begin, end)}


@given(stretches, st.tuples(st.integers(0, 60), st.integers(0, 60)))
def test_lengths_are_those_of_the_union(
    pairs: list[tuple[int, int]], window: tuple[int, int]
) -> None:
    begin, end = sorted(window)
    union = Intervals((float(one), float(other)) for one, other in pairs)
    counted = seconds_of(pairs)
    assert union.total_s == len(counted)
    assert union.between(begin, end) == len(counted & set(range(begin, end)))
    assert (union.begins < union.ends).all()
    assert (union.begins[1:] > union.ends[:-1]).all()


def test_of_nothing() -> None:
    nothing = Intervals([])
    assert nothing.total_s == 0
    assert nothing.within(np.array([0.0]), np.array([5.0])).tolist() == [0.0]
