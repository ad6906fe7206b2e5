"""What a model is told: losses, failures, parents and unequal resources."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clary.tuner.observations import Observation, observe, tame
from clary.tuner.ranges import Space, parse_range
from clary.tuner.trials import Trial
from tests.tuner.strategies import unhurried

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


def test_unequal_resources_are_compared_at_the_same_epoch() -> None:
    stopped = [trial(n, 0.9 - n / 100, curve=2) for n in range(1, 11)]
    running = [Trial(n, {"epochs": 5}, "running", curve=(0.7, 0.1 * n, 0.0)) for n in (11, 12)]
    done = [Trial(n, {"epochs": 5}, "succeeded", 0.3, (0.8, 0.2, 0.3)) for n in (13, 14)]
    failed, begun = trial(15, None), Trial(16, {"epochs": 5}, "running")
    trials = [*stopped, *running, *done, failed, begun]
    # Fourteen have come to the second epoch: too few.
    found = observe(SPACE, "Minimize", trials, (), by_resource=True)
    assert [observation.measured for observation in found] == [False] * len(found)
    trials.append(Trial(17, {"epochs": 5}, "succeeded", 0.4, (0.4, 0.4)))
    found = observe(SPACE, "Minimize", trials, (), by_resource=True)
    at_two = [0.0] * 10 + [1.1, 1.2, 0.2, 0.2, 1.2, None, 0.4]
    assert figures(found) == pytest.approx(at_two)


def test_parents_teach_by_their_ends_while_no_epoch_is_common() -> None:
    parents = [trial(1, 0.5, curve=3), trial(2, 0.1)]
    own = [trial(1, 0.3, curve=1), Trial(2, {"epochs": 3}, "running", curve=(0.7,))]
    found = observe(SPACE, "Minimize", own, parents, by_resource=True)
    assert figures(found) == [0.5, 0.1, None]


def test_parents_are_compared_at_the_common_epoch() -> None:
    parents = [Trial(n, {"epochs": 5}, "succeeded", 0.1, (n / 10, 0.1)) for n in range(1, 15)]
    running = Trial(1, {"epochs": 3}, "running", curve=(0.7,))
    found = observe(SPACE, "Minimize", [running], parents, by_resource=True)
    assert figures(found) == [*(n / 10 for n in range(1, 15)), 0.7]


def test_an_epoch_without_a_number_is_as_bad_as_the_worst() -> None:
    good = [Trial(n, {"epochs": 5}, "running", curve=(n / 10,)) for n in range(1, 15)]
    diverged = Trial(15, {"epochs": 5}, "running", curve=(math.nan,))
    found = observe(SPACE, "Minimize", [*good, diverged], (), by_resource=True)
    assert figures(found)[-1] == 1.4
    assert not found[-1].measured


def test_who_did_not_come_so_far_is_left_out() -> None:
    short = [trial(n, 0.1, curve=1) for n in range(1, 6)]
    long = [trial(n, 0.5, curve=9) for n in range(6, 21)]
    found = observe(SPACE, "Minimize", short + long, (), by_resource=True)
    assert figures(found) == [0.0] * 15


def known(*losses: float | None) -> list[Observation]:
    return [Observation({"epochs": 1}, loss, True) for loss in losses]


@unhurried
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


@pytest.mark.parametrize("scale", [1e200, 1e307])
def test_the_largest_losses_are_drawn_in_as_others_are(scale: float) -> None:
    drawn = figures(tame(known(1.0, 2.0, 3.0, 4.0, 9.0)))
    large = figures(tame(known(*(scale * one for one in (1.0, 2.0, 3.0, 4.0, 9.0)))))
    assert [one / scale for one in large if one is not None] == pytest.approx(drawn)


def test_a_run_that_diverged_is_drawn_in() -> None:
    drawn = figures(tame(known(0.1, 0.2, 0.3, 0.4, 1e9)))
    assert drawn[:3] == [0.1, 0.2, 0.3]
    assert drawn[4] is not None
    assert drawn[4] < 1.0
