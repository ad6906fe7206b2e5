"""When a tuning job is over, and why."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clary.errors import UsageError
from clary.tuner.completion import Completion, Criteria, completion, not_improving
from clary.tuner.trials import Trial, TrialState
from tests.tuner.strategies import unhurried


def ended(*values: float | None, first: int = 1) -> list[Trial]:
    """Trials with these objectives; None is one that failed."""
    return [
        Trial(number, {}, "failed" if value is None else "succeeded", value)
        for number, value in enumerate(values, start=first)
    ]


def running(*numbers: int) -> list[Trial]:
    return [Trial(number, {}, "running") for number in numbers]


def reason(
    criteria: Criteria, trials: Sequence[Trial], elapsed_s: float = 1.0, exhausted: bool = False
) -> str | None:
    over = completion(criteria, "Minimize", trials, elapsed_s, exhausted)
    return None if over is None else over.reason


def test_without_criteria_it_goes_on() -> None:
    assert reason(Criteria(), []) is None
    assert reason(Criteria(), ended(0.5, None) + running(3), 1e9) is None


def test_the_number_of_trials_ends_it_when_the_last_has_ended() -> None:
    criteria = Criteria(max_trials=3)
    assert reason(criteria, ended(0.5, 0.4)) is None
    assert reason(criteria, ended(0.5, 0.4) + running(3)) is None
    assert reason(criteria, ended(0.5, 0.4, None)) == "trials"


def test_time_ends_it_while_trials_run() -> None:
    criteria = Criteria(max_seconds=120)
    assert reason(criteria, running(1), 119.9) is None
    assert reason(criteria, running(1), 120.0) == "time"


@pytest.mark.parametrize(
    ("direction", "target", "over"),
    [("Minimize", 0.3, True), ("Minimize", 0.29, False), ("Maximize", 0.5, True)],
)
def test_a_target_is_reached_or_passed(direction: str, target: float, over: bool) -> None:
    trials = ended(0.5, 0.3) + running(3)
    found = completion(Criteria(target=target), direction, trials, 1.0)  # type: ignore[arg-type]
    assert (found is not None) == over
    if found is not None:
        assert found.reason == "target"
        assert f"{target:g}" in found.message


def test_trials_in_a_row_without_an_improvement_by_one_per_cent() -> None:
    criteria = Criteria(max_not_improving=3)
    assert reason(criteria, ended(0.5, 0.6, 0.7)) is None
    assert reason(criteria, ended(0.5, 0.6, 0.7, 0.8)) == "not_improving"
    assert reason(criteria, ended(0.5, 0.6, 0.7, 0.49)) is None
    assert reason(criteria, ended(0.5, 0.498, 0.7, 0.499)) == "not_improving"
    assert reason(criteria, ended(0.5, None, None, 0.6)) == "not_improving"
    # Running ones are not in vain yet, and three that failed say nothing of an objective.
    assert reason(criteria, ended(0.5, 0.6, 0.7) + running(4)) is None
    assert reason(criteria, ended(None, None, None)) is None


def test_not_improving_are_those_after_the_last_improvement() -> None:
    assert not_improving("Minimize", []) == 0
    assert not_improving("Minimize", ended(None, None)) == 0
    assert not_improving("Minimize", ended(None, 0.5)) == 0
    found = ended(0.5, 0.6, 0.4, None, 0.399) + running(6)
    assert not_improving("Minimize", found) == not_improving("Minimize", found[::-1]) == 2
    assert not_improving("Maximize", found) == 3


def test_small_steps_add_up_to_an_improvement() -> None:
    criteria = Criteria(max_not_improving=3)
    assert reason(criteria, ended(0.500, 0.497, 0.494, 0.491)) is None


def test_upwards_one_per_cent_is_more() -> None:
    criteria = Criteria(max_not_improving=3)
    less, more = ended(0.8, 0.805, 0.8, 0.8), ended(0.8, 0.81, 0.8, 0.8)
    assert completion(criteria, "Maximize", less, 1.0) is not None
    assert completion(criteria, "Maximize", more, 1.0) is None


def test_it_has_converged_when_the_same_height_is_reached_again_and_again() -> None:
    criteria = Criteria(on_convergence=True)
    falling = [1.0 / n for n in range(1, 11)]
    assert reason(criteria, ended(*falling, *[0.1005] * 10)) == "converged"
    # One stroke of luck that nothing comes near may be one of several.
    assert reason(criteria, ended(*falling, *[0.2] * 10)) is None
    assert reason(criteria, ended(*falling, *[0.1005] * 9)) is None
    assert reason(criteria, ended(*falling, *[0.1005] * 9, 0.05)) is None
    assert reason(Criteria(), ended(*falling, *[0.1005] * 10)) is None


def test_five_failures_at_the_beginning_end_it_in_the_words_of_sagemaker() -> None:
    over = completion(Criteria(max_trials=20), "Minimize", ended(*[None] * 5), 1.0)
    assert over == Completion(
        "failures",
        "No training job succeeded after 5 attempts. For additional details, please take a look "
        "at the training job failures by listing training jobs for the hyperparameter tuning job.",
    )
    assert reason(Criteria(), ended(*[None] * 5) + running(6)) == "failures"
    assert reason(Criteria(), ended(*[None] * 4)) is None
    assert reason(Criteria(), ended(*[None] * 4) + running(5)) is None
    assert reason(Criteria(), ended(0.5, *[None] * 9)) is None
    assert reason(Criteria(), ended(*[None] * 5, 0.5)) is None


def test_fewer_than_five_that_all_failed() -> None:
    over = completion(Criteria(max_trials=2), "Minimize", ended(None, None), 1.0)
    assert over is not None
    assert (over.reason, over.message[:26]) == ("failures", "All training jobs failed. ")


def test_an_exhausted_space_ends_it_when_nothing_runs() -> None:
    criteria = Criteria(max_trials=10)
    assert reason(criteria, ended(0.5) + running(2), exhausted=True) is None
    assert reason(criteria, ended(0.5, 0.4), exhausted=True) == "exhausted"
    assert reason(criteria, ended(None, None), exhausted=True) == "failures"


states: st.SearchStrategy[TrialState] = st.sampled_from(["running", "succeeded", "failed"])


@unhurried
@given(st.lists(st.tuples(states, st.floats()), max_size=30), st.randoms())
def test_the_order_in_which_trials_are_listed_does_not_matter(
    drawn: list[tuple[TrialState, float]], random: object
) -> None:
    trials = [
        Trial(number, {}, state, value if state == "succeeded" else None)
        for number, (state, value) in enumerate(drawn, start=1)
    ]
    criteria = Criteria(20, 60, -1e3, 3, True)
    shuffled = list(trials)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    for direction in ("Minimize", "Maximize"):
        one = completion(criteria, direction, trials, 1.0)  # type: ignore[arg-type]
        assert one == completion(criteria, direction, shuffled, 1.0)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"max_trials": 0}, "1 or more"),
        ({"max_seconds": 0}, "more than 0"),
        ({"max_not_improving": 2}, "3 or more"),
        ({"target": float("nan")}, "finite"),
    ],
)
def test_criteria_that_make_no_sense_are_refused(fields: dict[str, float], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Criteria(**fields)  # type: ignore[arg-type]
