from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clary.formats.tuning_record import (
    CategoricalRange,
    ContinuousRange,
    IntegerRange,
    Objective,
    Scaling,
    Value,
)
from clary.jobs.tuning_report.axes import Axis, number, space
from clary.jobs.tuning_report.findings import look
from clary.jobs.tuning_report.history import history
from clary.jobs.tuning_report.learning import learning_curves
from clary.jobs.tuning_report.marks import CHARACTER, Tick, shortened, without_overlap
from clary.jobs.tuning_report.objective import shown_span, yardstick
from clary.jobs.tuning_report.parallel import parallel
from clary.jobs.tuning_report.slices import slices
from clary.jobs.tuning_report.widening import widened
from clary.tuner import ranges
from clary.tuner.ranges import parse_range
from tests.jobs.tuning_report.records import build_record


@st.composite
def numeric_ranges(draw: st.DrawFn) -> ContinuousRange | IntegerRange:
    scaling: Scaling = draw(
        st.sampled_from(["Auto", "Linear", "Logarithmic", "ReverseLogarithmic"])
    )
    if draw(st.booleans()):
        low = draw(st.integers(1 if scaling == "Logarithmic" else -100, 1000))
        high = draw(st.integers(low, 5000))
        kept: Scaling = "Auto" if scaling == "ReverseLogarithmic" else scaling
        return IntegerRange(name="n", low=low, high=high, scaling=kept)
    if scaling == "ReverseLogarithmic":
        ends = sorted((draw(st.floats(0, 0.99999)), draw(st.floats(0, 0.99999))))
    else:
        least = 1e-8 if scaling == "Logarithmic" else -1e3
        ends = sorted((draw(st.floats(least, 1e3)), draw(st.floats(least, 1e3))))
    return ContinuousRange(name="x", low=ends[0], high=ends[1], scaling=scaling)


@given(numeric_ranges(), st.floats(0, 1), st.floats(0, 1))
def test_places_lie_on_the_axis_in_the_order_of_the_values(
    tuned: ContinuousRange | IntegerRange, one: float, other: float
) -> None:
    axis = Axis(tuned)
    values = [
        min(max(tuned.low + part * (tuned.high - tuned.low), tuned.low), tuned.high)
        for part in sorted((one, other))
    ]
    low, high = (axis.place(value) for value in values)
    assert low is not None
    assert high is not None
    assert 0 <= low <= high <= 1
    assert axis.place(tuned.high + 1) is None


@given(numeric_ranges())
def test_ticks_lie_on_the_axis_and_are_few(tuned: ContinuousRange | IntegerRange) -> None:
    places = [tick.place for tick in Axis(tuned).ticks()]
    assert 1 <= len(places) <= 10
    assert places == sorted(places)
    assert all(0 <= place <= 1 for place in places)


@given(numeric_ranges())
def test_a_range_is_written_as_the_command_line_reads_it(
    tuned: ContinuousRange | IntegerRange,
) -> None:
    if Axis(tuned).varies:
        read = parse_range(space(tuned))
        assert isinstance(read, ranges.ContinuousRange | ranges.IntegerRange)
        assert (read.name, read.low, read.high) == (tuned.name, tuned.low, tuned.high)
        assert isinstance(read.low, int) == (tuned.kind == "integer")


@given(numeric_ranges(), st.booleans())
def test_a_widened_range_can_be_searched(
    tuned: ContinuousRange | IntegerRange, upper: bool
) -> None:
    found = widened(Axis(tuned), tuned.high if upper else tuned.low)
    if found is not None:
        read = parse_range(found.space)
        assert read.name == tuned.name


@pytest.mark.parametrize(
    ("name", "high", "beyond"), [("momentum", 0.99, False), ("score", 0.99, True)]
)
def test_what_the_training_refuses_is_not_proposed(name: str, high: float, beyond: bool) -> None:
    axis = Axis(ContinuousRange(name=name, low=0.5, high=high, scaling="Linear"))
    assert (widened(axis, high) is not None) == beyond


@pytest.mark.parametrize(
    ("low", "kind"), [(0.0, ContinuousRange), (1, IntegerRange), (0, IntegerRange)]
)
def test_nothing_lies_below_zero_or_below_one_of_a_count(
    low: float, kind: type[ContinuousRange] | type[IntegerRange]
) -> None:
    assert widened(Axis(kind(name="x", low=low, high=10)), low) is None


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0031, "0.0031"),
        (3.123e-5, "3.12e-5"),
        (1e-06, "1e-6"),
        (64, "64"),
        (20000, "20,000"),
        (0.5, "0.5"),
        (1234.5, "1234"),
        ("adamw", "adamw"),
        (0.0, "0"),
    ],
)
def test_values_read_well(value: Value, text: str) -> None:
    assert number(value) == text


@given(
    st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=40),
    st.sampled_from(["Minimize", "Maximize"]),
)
def test_good_values_are_always_shown(values: list[float], direction: str) -> None:
    low, high = shown_span(values, direction)  # type: ignore[arg-type]
    best = max(values) if direction == "Maximize" else min(values)
    assert low <= best <= high


def test_a_trial_that_diverged_does_not_flatten_the_others() -> None:
    objective = Objective(name="loss", direction="Minimize")
    found = yardstick(objective, [0.2, 0.25, 0.3, 0.22, 0.28, 1e6])
    assert found.high < 1
    assert found.clip(1e6) == found.high


@given(st.lists(st.text(min_size=1, max_size=12), max_size=30))
def test_texts_of_ticks_do_not_touch(texts: list[str]) -> None:
    kept = without_overlap(Tick(12.0 * k, text) for k, text in enumerate(texts))
    for left, right in pairwise(kept):
        room = CHARACTER * (len(left.text) + len(right.text)) / 2
        assert right.place - left.place >= room


def test_long_texts_are_cut() -> None:
    assert shortened("weight_decay", 200) == "weight_decay"
    assert shortened("weight_decay", 40) == "weig…"


def test_the_staircase_rises_where_a_trial_is_better() -> None:
    figure = history(look(build_record(4, values=[0.5, 0.4, 0.7, 0.6])))
    assert figure
    heights = [float(part.split(" ")[1]) for part in figure.best_so_far.split("L")]
    assert heights[0] == heights[1] > heights[2] == heights[3]
    assert [mark.number for mark in figure.marks if mark.best] == [3]


def test_categories_have_bands_with_medians() -> None:
    record = build_record(20)
    (figure,) = [one for one in slices(look(record)) if one.name == "batch_size"]
    assert [tick.text for tick in figure.x_ticks] == ["16", "32", "64"]
    assert len(figure.medians) == 3
    for left, right, height in figure.medians:
        inside = [mark.y for mark in figure.marks if left <= mark.x <= right]
        assert min(inside) <= height <= max(inside)


def test_lines_cross_every_axis_and_failed_ones_end_beside_it() -> None:
    figure = parallel(look(build_record(6, failed={2})))
    assert figure
    assert figure.left_out == 0
    for form in (figure.wide, figure.narrow):
        assert {line.path.count("L") for line in form.lines} == {len(form.axes) - 1}
        assert [line.number for line in form.lines if line.tone is None] == [2]
        assert form.no_value is not None


def test_learning_curves_need_two_points_and_mark_the_best() -> None:
    assert learning_curves(look(build_record(3, epochs=1))) is None
    record = build_record(5, early={2}, epochs=500)
    figure = learning_curves(look(record))
    assert figure
    assert [curve.number for curve in figure.curves if curve.best] == [record.best]
    assert [curve.number for curve in figure.curves if curve.shape == "early"] == [2]
    assert all(curve.path.count("L") < 200 for curve in figure.curves)
    assert figure.curves[-1].best
    assert all(math.isfinite(tick.place) for tick in (*figure.x_ticks, *figure.y_ticks))


def test_a_category_outside_of_the_range_is_left_out() -> None:
    axis = Axis(CategoricalRange(name="optimizer", values=("sgd", "adamw")))
    assert axis.place("adamw") == 0.75
    assert axis.place("lion") is None
