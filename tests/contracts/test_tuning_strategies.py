"""What every strategy promises whoever asks it for the next combination."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clary.errors import SpaceExhausted
from clary.tuner.ranges import CategoricalRange, Space, parse_range
from clary.tuner.scaling import Value
from clary.tuner.search import Search, Strategy, suggest
from clary.tuner.trials import Direction, Trial
from tests.tuner.strategies import histories, listed_spaces, small_spaces, spaces, unhurried

STRATEGIES: tuple[Strategy, ...] = ("Bayesian", "Random", "Grid", "Hyperband")
SPACE = Space(
    (
        parse_range("lr=1e-5..1e-1:log"),
        parse_range("momentum=0..0.99:reverse-log"),
        parse_range("epochs=2..10"),
        parse_range("optimizer=sgd,adamw"),
    )
)
LISTED = Space((parse_range("optimizer=sgd,adamw"), parse_range("batch_size=16,32,64,128")))

every_strategy = pytest.mark.parametrize("strategy", STRATEGIES)


def search(strategy: Strategy, space: Space | None = None, **given: object) -> Search:
    if space is None:
        space = LISTED if strategy == "Grid" else SPACE
    fields: dict[str, object] = {"max_resource": 27} if strategy == "Hyperband" else {}
    fields |= {"direction": "Minimize", "seed": 7, **given}
    return Search(space, strategy, **fields)  # type: ignore[arg-type]


def found(values: dict[str, Value], number: int) -> Trial:
    """A trial that has ended with some objective."""
    figure = sum(len(str(value)) for value in values.values()) + 0.1 * number
    return Trial(number, values, "succeeded", figure, (figure,) * (number % 3 + 1))


def run(asked: Search, count: int, parallel: int = 1) -> list[dict[str, Value]]:
    """The combinations of `count` trials of which `parallel` run at a time."""
    trials: list[Trial] = []
    for number in range(1, count + 1):
        trials = [
            found(dict(t.parameters), t.number) if t.number <= number - parallel else t
            for t in trials
        ]
        trials.append(Trial(number, suggest(asked, trials, number), "running"))
    return [dict(trial.parameters) for trial in trials]


@every_strategy
@settings(unhurried, max_examples=30)
@given(data=st.data())
def test_a_suggestion_lies_within_its_space(strategy: Strategy, data: st.DataObject) -> None:
    space = data.draw(listed_spaces() if strategy == "Grid" else spaces())
    trials = data.draw(histories(space))
    parents = data.draw(histories(space))
    direction: Direction = data.draw(st.sampled_from(["Minimize", "Maximize"]))
    asked = search(strategy, space, direction=direction, transfer=data.draw(st.booleans()))
    try:
        values = suggest(asked, trials, len(trials) + 1, parents)
    except SpaceExhausted:
        assert space.size is not None
        seen = {tuple(t.parameters.items()) for t in [*trials, *parents]}
        assert len(seen) >= space.size
    else:
        assert space.contains(values)
        assert tuple(values) == space.names
        kinds = {range_.name: type(range_.at(0.5)) for range_ in space.ranges}
        assert {name: type(value) for name, value in values.items()} == kinds


@every_strategy
@pytest.mark.parametrize("parallel", [1, 4])
def test_the_same_seed_and_trials_give_the_same_suggestion(
    strategy: Strategy, parallel: int
) -> None:
    asked = search(strategy)
    assert run(asked, 8, parallel) == run(asked, 8, parallel)


@every_strategy
def test_the_order_in_which_trials_are_listed_does_not_matter(strategy: Strategy) -> None:
    trials = [found(values, n) for n, values in enumerate(run(search(strategy), 7), start=1)]
    assert suggest(search(strategy), trials, 8) == suggest(search(strategy), trials[::-1], 8)


@pytest.mark.parametrize("strategy", ["Bayesian", "Random", "Hyperband"])
def test_another_seed_gives_other_suggestions(strategy: Strategy) -> None:
    assert run(search(strategy), 6) != run(search(strategy, seed=8), 6)


@every_strategy
@settings(unhurried, max_examples=15)
@given(data=st.data())
def test_no_combination_comes_twice_until_all_have_come(
    strategy: Strategy, data: st.DataObject
) -> None:
    space = data.draw(listed_spaces() if strategy == "Grid" else small_spaces())
    assert space.size is not None
    asked = search(strategy, space)
    parallel = data.draw(st.integers(1, 4))
    seen = [tuple(values.items()) for values in run(asked, space.size, parallel)]
    assert len(set(seen)) == space.size
    trials = [Trial(n, dict(values), "running") for n, values in enumerate(seen, start=1)]
    with pytest.raises(SpaceExhausted, match=f"all {space.size} combinations"):
        suggest(asked, trials, space.size + 1)


@every_strategy
def test_what_a_parent_has_tried_is_not_tried_again(strategy: Strategy) -> None:
    asked = search(strategy, LISTED)
    parents = [found(values, n) for n, values in enumerate(run(asked, 5), start=1)]
    left = [
        suggest(asked, [Trial(1, values, "running")], 2, parents)
        for values in [suggest(asked, [], 1, parents)]
    ]
    assert all(values not in [p.parameters for p in parents] for values in left)


@every_strategy
def test_what_a_parent_failed_at_may_be_tried_again(strategy: Strategy) -> None:
    space = Space((CategoricalRange("optimizer", ("sgd",)),))
    failed = Trial(1, {"optimizer": "sgd"}, "failed")
    assert suggest(search(strategy, space), [], 1, [failed]) == {"optimizer": "sgd"}
    with pytest.raises(SpaceExhausted):
        suggest(search(strategy, space), [failed], 2)


@every_strategy
def test_parents_on_other_data_forbid_nothing(strategy: Strategy) -> None:
    space = Space((CategoricalRange("optimizer", ("sgd",)),))
    done = Trial(1, {"optimizer": "sgd"}, "succeeded", 0.5)
    with pytest.raises(SpaceExhausted):
        suggest(search(strategy, space), [], 1, [done])
    assert suggest(search(strategy, space, transfer=True), [], 1, [done]) == {"optimizer": "sgd"}


@every_strategy
def test_a_parents_trial_outside_the_ranges_does_no_harm(strategy: Strategy) -> None:
    asked = search(strategy)
    outside = [
        Trial(n, {"lr": 5.0, "momentum": 0.5, "epochs": 99, "optimizer": "rmsprop"}, "succeeded", n)
        for n in range(1, 9)
    ] + [Trial(9, {"other": 1}, "succeeded", 0.1)]
    assert asked.space.contains(suggest(asked, [], 1, outside))


@pytest.mark.parametrize("space", [SPACE, LISTED])
def test_random_draws_do_not_depend_on_how_many_run_at_a_time(space: Space) -> None:
    assert run(search("Random", space), 8, 1) == run(search("Random", space), 8, 4)


@every_strategy
def test_a_suggestion_changes_nothing_that_it_is_given(strategy: Strategy) -> None:
    trials: Sequence[Trial] = tuple(
        found(values, n) for n, values in enumerate(run(search(strategy), 6), start=1)
    )
    before = [replace(t, parameters=dict(t.parameters)) for t in trials]
    suggest(search(strategy), trials, 7)
    assert list(trials) == before


@every_strategy
def test_trials_that_gave_nothing_do_no_harm(strategy: Strategy) -> None:
    asked = search(strategy, LISTED)
    combinations = run(asked, 7)
    for value, state in [(None, "failed"), (float("nan"), "succeeded"), (0.5, "succeeded")]:
        trials = [
            Trial(n, values, state, value, ())  # type: ignore[arg-type]
            for n, values in enumerate(combinations, start=1)
        ]
        assert suggest(asked, trials, 8) not in combinations


@every_strategy
def test_nothing_is_written_to_the_terminal(
    strategy: Strategy, capfd: pytest.CaptureFixture[str], recwarn: pytest.WarningsRecorder
) -> None:
    run(search(strategy), 8)
    assert capfd.readouterr() == ("", "")
    assert [str(warning.message) for warning in recwarn] == []
