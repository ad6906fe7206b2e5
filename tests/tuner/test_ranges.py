"""Ranges: bounds, scales, text and the sentences that refuse them."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clary.errors import UsageError
from clary.tuner.ranges import (
    CategoricalRange,
    ContinuousRange,
    IntegerRange,
    Range,
    Space,
    parse_range,
)
from clary.tuner.scaling import Scaling, forward, inverse, resolve
from tests.tuner.strategies import (
    categorical,
    continuous,
    integer,
    ranges,
    small_spaces,
    spaces,
    unhurried,
)

positions = st.floats(0.0, 1.0)


@unhurried
@given(ranges(), positions)
def test_every_position_has_a_value_of_the_range(range_: Range, position: float) -> None:
    value = range_.at(position)
    assert range_.contains(value)
    assert (
        type(value)
        is {
            ContinuousRange: float,
            IntegerRange: int,
            CategoricalRange: str,
        }[type(range_)]
    )


@unhurried
@given(st.one_of(continuous(), integer()), positions, positions)
def test_values_rise_with_their_positions(
    range_: ContinuousRange | IntegerRange, one: float, other: float
) -> None:
    low, high = sorted((one, other))
    assert range_.at(low) <= range_.at(high)


@unhurried
@given(continuous(), positions)
def test_a_number_is_found_again_at_its_position(range_: ContinuousRange, position: float) -> None:
    value = range_.at(position)
    assert range_.at(range_.position(value)) == pytest.approx(
        value, rel=1e-6, abs=1e-9 * max(abs(range_.low), abs(range_.high))
    )


@unhurried
@given(st.one_of(integer(), categorical()), positions)
def test_a_counted_value_is_found_again_exactly(
    range_: IntegerRange | CategoricalRange, position: float
) -> None:
    value = range_.at(position)
    assert range_.at(range_.position(value)) == value


@unhurried
@given(st.one_of(continuous(), integer()))
def test_both_bounds_can_be_had(range_: ContinuousRange | IntegerRange) -> None:
    assert range_.at(0.0) == pytest.approx(range_.low, rel=1e-7)
    assert range_.at(1.0) == pytest.approx(range_.high, rel=1e-7)


@unhurried
@given(st.sampled_from(["Linear", "Logarithmic", "ReverseLogarithmic"]), st.floats(1e-9, 0.999))
def test_a_scale_is_undone(scale: Scaling, value: float) -> None:
    assert inverse(scale, forward(scale, value)) == pytest.approx(value, rel=1e-9)


def test_whole_numbers_share_a_linear_scale_evenly() -> None:
    range_ = IntegerRange("epochs", 1, 4)
    drawn = [range_.at((step + 0.5) / 400) for step in range(400)]
    assert [drawn.count(value) for value in (1, 2, 3, 4)] == [100] * 4


def test_a_logarithm_gives_each_decade_as_much() -> None:
    range_ = ContinuousRange("lr", 1e-4, 1e-1, "Logarithmic")
    assert [range_.at(third / 3) for third in range(4)] == pytest.approx([1e-4, 1e-3, 1e-2, 1e-1])


def test_a_reverse_logarithm_resolves_the_numbers_near_one() -> None:
    range_ = ContinuousRange("momentum", 0.9, 0.9999, "ReverseLogarithmic")
    assert [range_.at(third / 3) for third in range(4)] == pytest.approx([0.9, 0.99, 0.999, 0.9999])


@pytest.mark.parametrize(
    ("low", "high", "scale"),
    [
        (1e-4, 1e-2, "Logarithmic"),
        (1.0, 99.9, "Linear"),
        (0.0, 1000.0, "Linear"),
        (-1000.0, 1000.0, "Linear"),
        (1, 100, "Logarithmic"),
    ],
)
def test_auto_takes_a_logarithm_over_two_decades(low: float, high: float, scale: Scaling) -> None:
    assert resolve("Auto", low, high) == scale


@unhurried
@given(spaces(), st.data())
def test_a_combination_survives_its_text(space: Space, data: st.DataObject) -> None:
    values = {range_.name: range_.at(data.draw(positions)) for range_ in space.ranges}
    text = space.to_text(values)
    assert all(isinstance(value, str) for value in text.values())
    assert space.from_text({**text, "sagemaker_program": "x"}) == values
    assert space.contains(values)


@unhurried
@given(small_spaces())
def test_the_points_of_a_space_are_all_its_combinations(space: Space) -> None:
    assert space.size is not None
    points = [space.point(index) for index in range(space.size)]
    assert all(space.contains(point) for point in points)
    assert len({tuple(point.values()) for point in points}) == space.size
    assert space.size == math.prod(range_.size or 0 for range_ in space.ranges)
    with pytest.raises(IndexError):
        space.point(space.size)


def test_the_last_range_goes_fastest() -> None:
    space = Space((CategoricalRange("a", ("x", "y")), IntegerRange("b", 1, 3)))
    assert [tuple(space.point(index).values()) for index in range(4)] == [
        ("x", 1),
        ("x", 2),
        ("x", 3),
        ("y", 1),
    ]


def test_a_continuous_range_cannot_be_counted() -> None:
    assert Space((parse_range("x=0..1.0"),)).size is None
    assert Space((ContinuousRange("x", 2, 2),)).size == 1


def test_values_outside_the_range_are_read_but_not_contained() -> None:
    space = Space((IntegerRange("epochs", 2, 10),))
    assert space.from_text({"epochs": "20"}) == {"epochs": 20}
    assert space.from_text({"epochs": "20.0"}) == {"epochs": 20}
    assert not space.contains({"epochs": 20})
    assert not space.contains({"epochs": 3.5})
    assert not space.contains({"epochs": "3"})
    assert not space.contains({"epochs": 3, "lr": 1.0})


@pytest.mark.parametrize(
    ("text", "range_"),
    [
        ("lr=1e-4..1e-1:log", ContinuousRange("lr", 1e-4, 1e-1, "Logarithmic")),
        (
            "momentum=0.5..0.999:reverse-log",
            ContinuousRange("momentum", 0.5, 0.999, "ReverseLogarithmic"),
        ),
        ("x=0..1", IntegerRange("x", 0, 1)),
        ("x=0..1.", ContinuousRange("x", 0, 1)),
        ("x=0..1:reverse-log", "below 1"),
        ("x=.1...9:linear", ContinuousRange("x", 0.1, 0.9, "Linear")),
        ("x=-5..-1", IntegerRange("x", -5, -1)),
        (" epochs = 2 .. 10 : auto ", IntegerRange("epochs", 2, 10)),
        ("epochs=1..100:log", IntegerRange("epochs", 1, 100, "Logarithmic")),
        ("batch_size=32, 64,128", CategoricalRange("batch_size", ("32", "64", "128"))),
        ("data=s3://a/x,s3://b/y", CategoricalRange("data", ("s3://a/x", "s3://b/y"))),
        ("lr", "write one as"),
        ("=1..2", "write one as"),
        ("lr=", "write one as"),
        ("lr=1e-1..1e-4", "empty"),
        ("lr=0..0.1:log", "above 0"),
        ("epochs=0..100:log", "above 0"),
        ("lr=0.1..0.1", "fixed value"),
        ("lr=0.1", "fixed value"),
        ("lr=a..b", "not a number"),
        ("lr=1_0..2_0", "lr is '1_0', which is not a number"),
        ("lr=1..٢", "not a number"),
        ("lr=nan..1.0", "not a number"),
        ("lr=0..inf", "not a number"),
        ("lr=-1e308..1e308", "finite"),
        ("lr=1..10:cubic", "auto, linear, log or reverse-log"),
        ("n=1..9999999999999", "beyond"),
        ("batch_size=32,64:log", "no scaling"),
        ("batch_size=32,,64", "comma"),
        ("batch_size=32,32", "twice"),
        ("batch_size=" + ",".join(map(str, range(31))), "31 values"),
    ],
)
def test_a_range_as_people_write_it(text: str, range_: Range | str) -> None:
    if isinstance(range_, str):
        with pytest.raises(UsageError, match=range_):
            parse_range(text)
    else:
        assert parse_range(text) == range_


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: ContinuousRange("", 0, 1), "no name"),
        (lambda: ContinuousRange("x", 0, 1, "Cubic"), "choose one of"),  # type: ignore[arg-type]
        (lambda: ContinuousRange("x", 0.5, 1.0, "ReverseLogarithmic"), "below 1"),
        (lambda: IntegerRange("x", 0, 5, "ReverseLogarithmic"), "continuous"),
        (lambda: IntegerRange("x", 0.5, 5), "not a whole number"),  # type: ignore[arg-type]
        (lambda: CategoricalRange("x", ()), "0 values"),
        (lambda: CategoricalRange("x", (1,)), "no text"),  # type: ignore[arg-type]
        (lambda: Space(()), "name one"),
        (lambda: Space((IntegerRange("x", 0, 1),) * 2), "two ranges"),
        (
            lambda: Space(tuple(IntegerRange(f"x{n}", 0, 1) for n in range(31))),
            "31 hyperparameters",
        ),
        (lambda: Space((IntegerRange("x", 0, 1),)).from_text({}), "no value"),
        (lambda: Space((IntegerRange("x", 0, 1),)).from_text({"x": "0.5"}), "whole"),
        (lambda: Space((IntegerRange("x", 0, 1),)).from_text({"x": "a"}), "not a number"),
        (lambda: Space((IntegerRange("x", 0, 99),)).from_text({"x": "1_0"}), "not a number"),
    ],
)
def test_what_cannot_be_a_range_is_refused(build: object, message: str) -> None:
    with pytest.raises(UsageError, match=message) as refused:
        build()  # type: ignore[operator]
    assert "\n" not in str(refused.value)
