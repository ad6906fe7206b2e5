"""Successive halving: who goes on beyond a rung."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clary.errors import UsageError
from clary.tuner.hyperband import REDUCTION, rungs, stops_at_rung
from clary.tuner.ranges import Space, parse_range
from clary.tuner.search import Search
from clary.tuner.trials import Direction, Trial
from tests.tuner.strategies import unhurried

SPACE = Space((parse_range("lr=1e-4..1e-1"),))


def hyperband(low: int | None = 1, high: int = 27, direction: Direction = "Minimize") -> Search:
    return Search(SPACE, "Hyperband", direction, 0, min_resource=low, max_resource=high)


def trial(number: int, *curve: float) -> Trial:
    return Trial(number, {"lr": 0.01}, "running", curve=curve)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (1, 27, (1, 3, 9)),
        (2, 10, (2, 6)),
        (5, 5, ()),
        (1, 1, ()),
        (1, 20_000, (1, 3, 9, 27, 81, 243, 729, 2187, 6561, 19683)),
    ],
)
def test_rungs(low: int, high: int, expected: tuple[int, ...]) -> None:
    assert rungs(low, high) == expected


def test_only_the_best_third_goes_on() -> None:
    trials = [trial(n, n / 10) for n in range(1, 10)]
    stopped = [stops_at_rung(hyperband(), t, trials) for t in trials]
    assert stopped == [False] * 3 + [True] * 6
    upwards = hyperband(direction="Maximize")
    assert [stops_at_rung(upwards, t, trials) for t in trials] == [True] * 6 + [False] * 3


def test_the_first_to_come_go_on() -> None:
    trials = [trial(1, 0.9), trial(2, 0.1)]
    assert not any(stops_at_rung(hyperband(), t, trials) for t in trials)
    trials.append(trial(3, 0.5))
    assert [stops_at_rung(hyperband(), t, trials) for t in trials] == [True, False, True]


def test_between_rungs_the_value_on_the_rung_counts() -> None:
    others = [trial(n, 0.5, 0.5, 0.5) for n in range(1, 6)]
    good_on_rung = trial(9, 0.9, 0.9, 0.1, 0.9, 0.9)
    bad_on_rung = trial(9, 0.1, 0.1, 0.9, 0.1, 0.1)
    assert not stops_at_rung(hyperband(), good_on_rung, others)
    assert stops_at_rung(hyperband(), bad_on_rung, others)


def test_whoever_ended_still_counts() -> None:
    ended = [Trial(n, {"lr": 0.1}, "succeeded", 0.1, (0.1,)) for n in (1, 2, 3)]
    assert stops_at_rung(hyperband(), trial(4, 0.5), ended)


@unhurried
@given(
    st.lists(st.lists(st.floats(allow_nan=True), max_size=30), min_size=1, max_size=12),
    st.integers(1, 9),
    st.integers(0, 30),
)
def test_no_trial_stops_before_the_least_resource_nor_goes_on_at_the_most(
    given_curves: list[list[float]], low: int, more: int
) -> None:
    search = hyperband(low, low + more)
    trials = [trial(n, *curve) for n, curve in enumerate(given_curves, start=1)]
    for one in trials:
        stops = stops_at_rung(search, one, trials)
        if len(one.curve) >= low + more:
            assert stops
        elif len(one.curve) < low:
            assert not stops


@unhurried
@given(st.lists(st.floats(-1, 1), min_size=REDUCTION, max_size=30, unique=True))
def test_a_third_of_different_trials_goes_on(values: list[float]) -> None:
    trials = [trial(n, value) for n, value in enumerate(values, start=1)]
    going_on = [t for t in trials if not stops_at_rung(hyperband(), t, trials)]
    assert len(going_on) == len(trials) // REDUCTION
    assert max(t.curve[0] for t in going_on) <= sorted(values)[len(going_on) - 1]


def test_equals_are_not_stopped() -> None:
    trials = [trial(n, 0.5) for n in range(1, 10)]
    assert not any(stops_at_rung(hyperband(), t, trials) for t in trials)


def test_the_least_resource_is_one_if_it_is_not_given() -> None:
    trials = [trial(n, n / 10) for n in range(1, 4)]
    assert stops_at_rung(hyperband(None), trials[2], trials)


def test_other_strategies_have_no_rungs() -> None:
    with pytest.raises(UsageError, match="choose Hyperband"):
        stops_at_rung(Search(SPACE, "Random", "Minimize", 0), trial(1, 0.1), [])
