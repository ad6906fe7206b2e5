"""What a model is told: losses, failures, parents and unequal resources."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clary.tuner.observations import Observation, observe, tame
from clary.tuner.ranges import Space, parse_range
from clary.tuner.trials import Trial

SPACE = Space((parse_range("epochs=1..10"),))


def trial(number: int, value: float | None, epochs: int = 5, curve: int = 0) -> Trial:
    state = "failed" if value is None else "succeeded"
    return Trial(number, {"epochs": epochs}, state, value, (0.0,) * curve)


def figures(observations: list[Observation]) -> list[float | None]:
    return [observation.loss for observation in observations]


def test_less_is_better_in_either_direction() -> None:
    trials = [trial(1, 0.2), trial(2, 0.6)]
    assert figures(observe(SPACE, "Minimize", trials, ())) == [0.2, 0.6]
    assert figures(observe(SPACE, "Maximize", trials, ())) == [-0.2, -0.6]


def test_a_failed_trial_is_as_bad_as_the_worst() -> None:
    trials = [trial(1, 0.2), trial(2, None), trial(3, 0.6), trial(4, math.nan)]
    found = observe(SPACE, "Minimize", trials, ())
    assert figures(found) == [0.2, 0.6, 0.6, 0.6]
    assert [observation.measured for observation in found] == [True, False, True, False]


def test_a_running_trial_has_no_loss() -> None:
    running = Trial(2, {"epochs": 3}, "running", curve=(0.5,))
    assert figures(observe(SPACE, "Minimize", [trial(1, 0.2), running], ())) == [0.2, None]


def test_parents_tell_what_they_found_within_the_space() -> None:
    parents = [trial(1, 0.5), trial(2, None), trial(3, 0.1, epochs=99), Trial(4, {}, "running")]
    assert figures(observe(SPACE, "Minimize", [trial(1, 0.2)], parents)) == [0.5, 0.2]


def test_other_data_is_compared_with_itself_only() -> None:
    parents = [trial(1, 500.0), trial(2, 100.0)]
    found = observe(SPACE, "Minimize", [trial(1, 0.2), trial(2, 0.4)], parents, transfer=True)
    worse, better = 0.6744897501960817, -0.6744897501960817  # Φ⁻¹(¾) and Φ⁻¹(¼)
    assert figures(found) == pytest.approx([worse, better, better, worse])


def test_who_was_let_run_longer_is_better() -> None:
    stopped = [trial(1, 0.1, curve=1), trial(2, 0.9, curve=1)]
    survivors = [trial(3, 0.8, curve=9), trial(4, 0.7, curve=9)]
    found = observe(SPACE, "Minimize", stopped + survivors, (), by_resource=True)
    order = sorted(range(4), key=lambda index: found[index].loss or 0.0)
    assert [index + 1 for index in order] == [4, 3, 1, 2]


def known(*losses: float | None) -> list[Observation]:
    return [Observation({"epochs": 1}, loss, True) for loss in losses]


@given(st.lists(st.one_of(st.none(), st.floats(-1e6, 1e6)), max_size=12))
def test_drawing_in_keeps_the_order_and_the_better_half(losses: list[float | None]) -> None:
    before, after = known(*losses), tame(known(*losses))
    assert [o.loss is None for o in before] == [o.loss is None for o in after]
    pairs = sorted(
        (one.loss, other.loss)
        for one, other in zip(before, after, strict=True)
        if one.loss is not None and other.loss is not None
    )
    assert [drawn for _, drawn in pairs] == sorted(drawn for _, drawn in pairs)
    better = pairs[: (len(pairs) + 1) // 2]
    assert all(loss == drawn for loss, drawn in better)


def test_a_run_that_diverged_is_drawn_in() -> None:
    drawn = figures(tame(known(0.1, 0.2, 0.3, 0.4, 1e9)))
    assert drawn[:3] == [0.1, 0.2, 0.3]
    assert drawn[4] is not None
    assert drawn[4] < 1.0
