"""Searches that make no sense, which engine answers, and the order of a grid."""

from __future__ import annotations

import subprocess
import sys

import pytest

from clary.errors import UsageError
from clary.tuner.best import best
from clary.tuner.ranges import Space, parse_range
from clary.tuner.search import Engine, Search, Strategy, check_grid, engine, suggest
from clary.tuner.trials import Direction, Trial

NUMBERS = Space((parse_range("lr=1e-4..1e-1:log"), parse_range("epochs=2..10")))
LISTED = Space((parse_range("optimizer=sgd,adamw"), parse_range("batch_size=16,32,64")))


@pytest.mark.parametrize(
    ("space", "fields", "message"),
    [
        (NUMBERS, {"strategy": "Grid"}, "lr has a range of numbers"),
        (LISTED, {"strategy": "Grid", "max_trials": 5}, "6 combinations cannot be tried in 5"),
        (NUMBERS, {"strategy": "Annealing"}, "choose one of Bayesian, Random, Grid, Hyperband"),
        (NUMBERS, {"direction": "Up"}, "choose one of Minimize, Maximize"),
        (NUMBERS, {"max_trials": 0}, "ask for 1 or more"),
        (NUMBERS, {"strategy": "Hyperband"}, "give max_resource"),
        (NUMBERS, {"strategy": "Hyperband", "min_resource": 9, "max_resource": 3}, "from 9 to 3"),
        (NUMBERS, {"strategy": "Hyperband", "max_resource": 20_001}, "≤ 20000"),
        (NUMBERS, {"strategy": "Hyperband", "min_resource": 0, "max_resource": 3}, "from 0"),
        (NUMBERS, {"strategy": "Bayesian", "max_resource": 3}, "choose Hyperband"),
    ],
)
def test_a_search_that_makes_no_sense_is_refused(
    space: Space, fields: dict[str, object], message: str
) -> None:
    given = {"strategy": "Bayesian", "direction": "Minimize", "seed": 0, **fields}
    with pytest.raises(UsageError, match=message):
        Search(space, **given)  # type: ignore[arg-type]


def test_a_grid_may_leave_the_number_of_trials_out() -> None:
    check_grid(LISTED, None)
    check_grid(LISTED, 6)


def test_a_grid_goes_through_the_last_hyperparameter_first() -> None:
    search = Search(LISTED, "Grid", "Minimize", 0, max_trials=6)
    trials: list[Trial] = []
    # Trials of other training job definitions take numbers, too.
    for number in (1, 2, 5, 8, 11, 12):
        trials.append(Trial(number, suggest(search, trials, number), "running"))
    assert [tuple(trial.parameters.values()) for trial in trials] == [
        (optimizer, size) for optimizer in ("sgd", "adamw") for size in ("16", "32", "64")
    ]


@pytest.mark.parametrize(
    ("strategy", "ended", "seconds", "expected"),
    [
        ("Bayesian", 10, 600.0, "gp"),
        ("Bayesian", 10, 1.0, "light"),
        ("Bayesian", 10, None, "light"),
        ("Bayesian", 0, 600.0, "light"),
        ("Bayesian", 500, 600.0, "light"),
        ("Random", 10, 600.0, "light"),
        ("Grid", 10, 600.0, "light"),
        ("Hyperband", 10, 600.0, "light"),
    ],
)
def test_a_gaussian_process_answers_where_trials_are_few_and_costly(
    strategy: Strategy, ended: int, seconds: float | None, expected: Engine
) -> None:
    resource = 9 if strategy == "Hyperband" else None
    space = LISTED if strategy == "Grid" else NUMBERS
    search = Search(space, strategy, "Minimize", 0, max_resource=resource)
    trials = [Trial(n, {"lr": 0.01, "epochs": 3}, "succeeded", 0.5) for n in range(ended)]
    assert engine(search, trials, seconds) == expected


def test_the_model_finds_what_random_draws_do_not() -> None:
    """Forty trials of a bowl; the gap is wide enough for any seed."""

    def run(strategy: Strategy, seed: int) -> float:
        search = Search(NUMBERS, strategy, "Minimize", seed)
        trials: list[Trial] = []
        for number in range(1, 41):
            values = suggest(search, trials, number)
            place = [range_.position(values[range_.name]) for range_ in NUMBERS.ranges]
            value = sum((position - 0.3) ** 2 for position in place)
            trials.append(Trial(number, values, "succeeded", value))
        winner = best(trials, "Minimize")
        assert winner is not None
        assert winner.value is not None
        return winner.value

    seeds = range(5)
    assert sum(run("Bayesian", seed) for seed in seeds) < sum(run("Random", seed) for seed in seeds)


@pytest.mark.parametrize(("direction", "number"), [("Minimize", 2), ("Maximize", 5)])
def test_the_best_is_the_first_of_the_best(direction: Direction, number: int) -> None:
    trials = [
        Trial(6, {}, "succeeded", 0.9),
        Trial(1, {}, "succeeded", 0.5),
        Trial(2, {}, "succeeded", 0.1),
        Trial(3, {}, "succeeded", 0.1),
        Trial(4, {}, "succeeded", float("nan")),
        Trial(5, {}, "succeeded", 0.9),
        Trial(7, {}, "failed"),
        Trial(8, {}, "running", curve=(0.0,)),
    ]
    winner = best(trials, direction)
    assert winner is not None
    assert winner.number == number
    assert best(trials[6:], direction) is None


def test_a_light_suggestion_brings_neither_torch_nor_a_database() -> None:
    code = """
import sys
from clary.tuner.ranges import Space, parse_range
from clary.tuner.search import Search, suggest
from clary.tuner.trials import Trial
assert "optuna" not in sys.modules
space = Space((parse_range("lr=1e-4..1e-1:log"),))
search = Search(space, "Bayesian", "Minimize", 0)
trials = []
for number in range(1, 9):
    values = suggest(search, trials, number)
    trials.append(Trial(number, values, "succeeded", values["lr"]))
assert "optuna" in sys.modules
print([name for name in ("torch", "sqlalchemy", "sklearn") if name in sys.modules])
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout == "[]\n"
