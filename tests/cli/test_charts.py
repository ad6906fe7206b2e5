"""Curves in the terminal: where the dots are, and that nothing runs over the edge."""

from __future__ import annotations

import io
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from clary.cli.charts import Chart, Series

numbers = st.floats(allow_nan=True, allow_infinity=True, width=32)
curves = st.lists(
    st.builds(
        lambda label, points: Series(label, *zip(*sorted(points), strict=True)),
        st.sampled_from(["train", "valid", ""]),
        st.lists(st.tuples(st.integers(0, 10**7), numbers), min_size=1, max_size=40, unique=True),
    ),
    max_size=7,
)


def drawn(chart: Chart, width: int = 80, *, encoding: str = "utf-8") -> list[str]:
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding, newline="")
    Console(file=file, width=width, color_system=None).print(chart)
    file.seek(0)
    return file.read().splitlines()


def test_a_falling_curve_falls() -> None:
    lines = drawn(Chart("loss", [Series("train", range(100), [200.0 - k for k in range(100)])]))
    assert lines[0] == "loss by step  ⠒ train"
    plot = lines[1:10]
    first = [next(k for k, cell in enumerate(row[10:]) if cell != " ") for row in plot]
    assert first == sorted(first)
    assert plot[0].startswith("     200 ┤")
    assert plot[-1].startswith("     101 ┤")
    assert lines[-1].split() == ["0", "20", "40", "60", "80"]


def test_two_curves_differ_without_colour() -> None:
    chart = Chart("loss", [Series("train", [0, 10], [1.0, 0.0]), Series("valid", [5], [0.5])])
    text = "\n".join(drawn(chart))
    assert text.startswith("loss by step  ⠒ train  • valid")
    assert text.count("•") == 2  # in the legend, and in the plot


def test_what_is_not_finite_is_marked_at_the_top() -> None:
    lines = drawn(Chart("loss", [Series("train", [0, 1, 2], [1.0, math.nan, 0.5])]))
    assert "!" in lines[1]
    assert not any("!" in line for line in lines[2:])


def test_values_of_many_magnitudes_are_drawn_by_their_logarithm() -> None:
    lines = drawn(Chart("gradient", [Series("", [0, 1, 2], [1.0, 1e-4, 1e-8])]))
    assert lines[0] == "gradient by step, logarithmic"
    assert lines[5].startswith(" 1.0e-04 ┤") or lines[5].startswith("  0.0001 ┤")


def test_nothing_is_said() -> None:
    assert drawn(Chart("loss", [])) == ["loss by step  no values"]


@given(series=curves, width=st.integers(30, 140))
@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_any_curves_fit(series: list[Series], width: int, encoding: str) -> None:
    lines = drawn(Chart("x", series), width, encoding=encoding)
    assert all(len(line) <= width for line in lines[1:])
    if series:
        assert len(lines) >= 11
