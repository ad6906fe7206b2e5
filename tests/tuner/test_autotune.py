"""Ranges that follow from a name and a typical value."""

from __future__ import annotations

import json

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from clary.errors import UsageError
from clary.tuner.autotune import ranges_from_hints
from clary.tuner.ranges import CategoricalRange, ContinuousRange, IntegerRange, Range
from tests.tuner.strategies import unhurried

names = st.sampled_from(["lr", "momentum", "batch_size", "epochs", "dropout", "weight_decay", "x"])


@pytest.mark.parametrize(
    ("name", "hint", "expected"),
    [
        ("learning_rate", "0.01", ContinuousRange("learning_rate", 1e-4, 0.1, "Logarithmic")),
        ("lr", "0.5", ContinuousRange("lr", 0.005, 1.0, "Logarithmic")),
        ("dropout_rate", "0.3", ContinuousRange("dropout_rate", 0.0, 0.6, "Linear")),
        ("weight_decay", "1e-4", ContinuousRange("weight_decay", 1e-6, 1e-3, "Logarithmic")),
        ("epochs", "10", IntegerRange("epochs", 5, 20)),
        ("epochs", "1", IntegerRange("epochs", 1, 2)),
        ("offset", "0", IntegerRange("offset", -1, 1)),
        ("batch_size", "32", CategoricalRange("batch_size", ("8", "16", "32", "64", "128"))),
        ("nesterov", "true", CategoricalRange("nesterov", ("true", "false"))),
        ("optimizer", "adam", CategoricalRange("optimizer", ("sgd", "adam", "adamw", "rmsprop"))),
        ("nesterov", '"True"', CategoricalRange("nesterov", ('"True"', '"False"'))),
    ],
)
def test_customary_ranges(name: str, hint: str, expected: Range) -> None:
    (range_,) = ranges_from_hints({name: hint})
    assert range_ == expected


def test_a_share_near_one_is_resolved_near_one() -> None:
    (range_,) = ranges_from_hints({"momentum": "0.9"})
    assert isinstance(range_, ContinuousRange)
    assert range_.scaling == "ReverseLogarithmic"
    assert (range_.low, range_.high) == pytest.approx((0.5, 0.99))


@unhurried
@given(names, st.floats(-1e9, 1e9))
def test_the_typical_value_lies_within_its_range(name: str, value: float) -> None:
    assume(value == 0 or abs(value) > 1e-9)
    (range_,) = ranges_from_hints({name: repr(value)})
    assert range_.contains(value)
    assert range_.size != 1


@unhurried
@given(names, st.integers(-(10**9), 10**9), st.booleans())
def test_a_typical_whole_number_can_be_had(name: str, value: int, quoted: bool) -> None:
    hint = json.dumps(str(value)) if quoted else str(value)
    (range_,) = ranges_from_hints({name: hint})
    assert range_.contains(range_.parse(hint) if isinstance(range_, CategoricalRange) else value)


@pytest.mark.parametrize("hint", ["", "resnet18", "nan", "1e300", "[1, 2]", "null", "1_0"])
def test_a_hint_that_tells_nothing_is_refused(hint: str) -> None:
    with pytest.raises(UsageError, match="no range of model follows"):
        ranges_from_hints({"model": hint})


def test_every_hint_gives_a_range_in_order() -> None:
    ranges = ranges_from_hints({"lr": "0.1", "epochs": "3"})
    assert [range_.name for range_ in ranges] == ["lr", "epochs"]
