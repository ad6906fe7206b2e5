"""The median rule, against cases worked out by hand and against its definition."""

from __future__ import annotations

import sys
from statistics import fmean, median

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clary.tuner.early_stopping import MIN_EPOCHS, MIN_PEERS, stops_early
from tests.tuner.strategies import unhurried

LOW = [0.1] * 8
MIDDLE = [0.8, 0.6, 0.5, 0.4, 0.3, 0.2, 0.2, 0.2]
PEERS = [LOW, LOW, MIDDLE, MIDDLE, MIDDLE]
figures = st.floats(-1e6, 1e6)
curves = st.lists(figures, min_size=1, max_size=9)


def test_the_last_value_is_compared_with_the_median_of_running_averages() -> None:
    # The running averages over three epochs are 0.1, 0.1, and three times 1.9 / 3 = 0.633.
    assert not stops_early([0.9, 0.9, 0.63], PEERS, "Minimize")
    assert stops_early([0.9, 0.9, 0.64], PEERS, "Minimize")


def test_what_is_worse_depends_on_the_direction() -> None:
    accuracies = [[0.5, 0.6, 0.7, 0.8]] * 4  # 0.6 on average over three epochs
    assert stops_early([0.1, 0.1, 0.59], accuracies, "Maximize")
    assert not stops_early([0.1, 0.1, 0.61], accuracies, "Maximize")


@unhurried
@given(curves, st.lists(curves, max_size=9))
def test_the_rule_is_the_published_one_behind_its_guards(
    curve: list[float], peers: list[list[float]]
) -> None:
    epochs = len(curve)
    averages = [fmean(peer[:epochs]) for peer in peers if len(peer) >= epochs]
    longest = max(map(len, peers), default=0)
    guarded = epochs <= MIN_EPOCHS or epochs <= longest / 4 or len(averages) < MIN_PEERS
    expected = not guarded and curve[-1] > median(averages)
    assert stops_early(curve, peers, "Minimize") == expected


@unhurried
@given(curves, st.lists(curves, max_size=9))
def test_both_directions_mirror_each_other(curve: list[float], peers: list[list[float]]) -> None:
    mirrored = [[-value for value in peer] for peer in peers]
    assert stops_early(curve, peers, "Minimize") == stops_early(
        [-value for value in curve], mirrored, "Maximize"
    )


large = st.floats(-sys.float_info.max, sys.float_info.max).filter(lambda x: not x or abs(x) > 1e-99)


@unhurried
@given(
    st.lists(large, min_size=1, max_size=9),
    st.lists(st.lists(large, min_size=3, max_size=9), min_size=MIN_PEERS, max_size=9),
)
def test_the_unit_does_not_matter_up_to_the_largest_numbers(
    curve: list[float], peers: list[list[float]]
) -> None:
    small = [[value * 2.0**-99 for value in peer] for peer in peers]
    assert stops_early(curve, peers, "Minimize") == stops_early(
        [value * 2.0**-99 for value in curve], small, "Minimize"
    )


def test_objectives_as_large_as_a_float_are_averaged() -> None:
    peers = [[1e308, 1e308, 1e308]] * 5
    assert stops_early([1e308, 1e308, 1.1e308], peers, "Minimize")
    assert not stops_early([1e308, 1e308, 0.9e308], peers, "Minimize")
    two_halves = [[1e308] * 3, [1e308] * 3, [1.5e308] * 3, [1.5e308] * 3]
    assert stops_early([1e308, 1e308, 1.3e308], two_halves, "Minimize")
    assert not stops_early([1e308, 1e308, 1.2e308], two_halves, "Minimize")


@pytest.mark.parametrize("value", [float("inf"), float("-inf"), float("nan")])
def test_what_is_not_finite_is_the_worst_in_either_direction(value: float) -> None:
    assert stops_early([0.1, 0.1, value], PEERS, "Minimize")
    assert stops_early([0.9, 0.9, value], PEERS, "Maximize")
    mixed = [[float("inf"), float("-inf"), 0.1], *PEERS]
    assert stops_early([0.1, 0.1, value], mixed, "Minimize")


@pytest.mark.parametrize(
    ("curve", "peers"),
    [
        ([], PEERS),
        ([9.0], PEERS),
        ([9.0, 9.0], PEERS),
        ([9.0, 9.0, 9.0], PEERS[:3]),
        ([9.0, 9.0, 9.0], []),
        ([9.0, 9.0, 9.0], [[0.1, 0.1]] * 9),
        ([9.0] * 5, [[0.1] * 20] * 5),
    ],
    ids=["no epoch", "first", "second", "few peers", "no peers", "short peers", "first quarter"],
)
def test_a_guard_lets_a_trial_go_on(curve: list[float], peers: list[list[float]]) -> None:
    assert not stops_early(curve, peers, "Minimize")


def test_after_the_first_quarter_the_rule_holds() -> None:
    assert stops_early([9.0] * 6, [[0.1] * 20] * 5, "Minimize")


@pytest.mark.parametrize("direction", ["Minimize", "Maximize"])
def test_nan_is_worse_than_any_number(direction: str) -> None:
    nan = float("nan")
    assert stops_early([0.1, 0.1, nan], PEERS, direction)  # type: ignore[arg-type]
    spoilt = [[nan] * 8, *PEERS[1:]]
    assert not stops_early([0.1, 0.1, 0.1], spoilt, "Minimize")
    # Where most peers have no number either, there is nothing to be worse than.
    assert not stops_early([0.1, 0.1, nan], [[nan] * 8] * 5, direction)  # type: ignore[arg-type]
