"""Importances: what truly mattered comes first; nothing is made up where little is known."""

from __future__ import annotations

import math
from random import Random

import pytest

from clary.tuner.importances import importances
from clary.tuner.ranges import IntegerRange, Space, parse_range
from clary.tuner.scaling import Value
from clary.tuner.strategies.random_search import propose
from clary.tuner.trials import Trial

SPACE = Space(
    (
        parse_range("dropout=0..0.5"),
        parse_range("lr=1e-5..1e-1:log"),
        parse_range("optimizer=sgd,adam,adamw"),
        parse_range("epochs=1..1000:log"),
    )
)


def by_lr(values: dict[str, Value]) -> float:
    return (math.log10(float(values["lr"])) + 3) ** 2 + 0.2 * (values["optimizer"] == "sgd")


def drawn(count: int, figure: object = by_lr) -> list[Trial]:
    random = Random(0)
    combinations = [propose(SPACE, random) for _ in range(count)]
    return [
        Trial(number, values, "succeeded", figure(values))  # type: ignore[operator]
        for number, values in enumerate(combinations, start=1)
    ]


@pytest.mark.parametrize("count", [20, 60])
def test_what_mattered_most_comes_first(count: int) -> None:
    shares = importances(SPACE, "Minimize", drawn(count))
    assert next(iter(shares)) == "lr"
    assert shares["lr"] > 0.5
    assert set(shares) == set(SPACE.names)
    assert sum(shares.values()) == pytest.approx(1)
    assert list(shares.values()) == sorted(shares.values(), reverse=True)


def test_a_category_can_matter_most() -> None:
    trials = drawn(30, lambda values: 1.0 if values["optimizer"] == "adam" else 0.0)
    assert next(iter(importances(SPACE, "Maximize", trials))) == "optimizer"


def test_a_whole_number_matters_on_its_scale() -> None:
    trials = drawn(40, lambda values: math.log(values["epochs"]))
    assert importances(SPACE, "Maximize", trials)["epochs"] > 0.7


def test_the_answer_does_not_change() -> None:
    trials = drawn(12)
    assert importances(SPACE, "Minimize", trials) == importances(SPACE, "Minimize", trials[::-1])


def test_too_few_trials_say_nothing() -> None:
    assert importances(SPACE, "Minimize", []) == {}
    assert importances(SPACE, "Minimize", drawn(3)) == {}
    assert importances(SPACE, "Minimize", drawn(4)) != {}


def test_trials_without_an_objective_or_a_difference_say_nothing() -> None:
    assert importances(SPACE, "Minimize", drawn(9, lambda values: 0.5)) == {}
    assert importances(SPACE, "Minimize", drawn(9, lambda values: math.nan)) == {}
    failed = [Trial(t.number, t.parameters, "failed") for t in drawn(9)]
    assert importances(SPACE, "Minimize", failed) == {}
    outside = [Trial(t.number, {"other": 1}, "succeeded", t.value) for t in drawn(9)]
    assert importances(SPACE, "Minimize", outside) == {}


def test_a_range_of_one_value_has_no_share() -> None:
    space = Space((SPACE.ranges[1], IntegerRange("workers", 2, 2)))
    trials = [
        Trial(t.number, {"lr": t.parameters["lr"], "workers": 2}, "succeeded", t.value)
        for t in drawn(12)
    ]
    assert importances(space, "Minimize", trials) == {"lr": 1.0, "workers": 0.0}
