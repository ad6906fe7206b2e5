"""What a metric's regular expression finds in a line."""

from __future__ import annotations

import pytest

from clary.formats.metric_pattern import compile_pattern, matched_number, matched_value


@pytest.mark.parametrize(
    ("pattern", "line", "value"),
    [
        (r"loss=([0-9.]+)", "epoch 3 loss=0.25", 0.25),
        (r"loss=(\S+);", "loss=1e-3; accuracy=0.9;", 0.001),
        (r"(\d+) of (\d+)", "3 of 10", 3.0),
        (r"loss=(\S+)", "loss=nan", None),
        (r"loss=(\S+)", "loss=inf", None),
        (r"loss=(\S+)", "loss=low", None),
        (r"loss(=\d)?", "loss", None),
        (r"loss=\d", "loss=1", None),
        (r"loss=(\d)", "accuracy=1", None),
    ],
)
def test_the_first_group_gives_a_finite_number(
    pattern: str, line: str, value: float | None
) -> None:
    assert matched_value(compile_pattern(pattern).search(line)) == value


@pytest.mark.parametrize(("said", "number"), [("nan", "nan"), ("-inf", "-inf"), ("low", "None")])
def test_that_a_log_said_no_finite_number_is_told_apart_from_nothing(
    said: str, number: str
) -> None:
    match = compile_pattern(r"loss=(\S+)").search(f"loss={said}")
    assert matched_value(match) is None
    assert str(matched_number(match)) == number


def test_what_is_no_expression_says_why() -> None:
    with pytest.raises(ValueError, match="missing"):
        compile_pattern("loss=(")
    with pytest.raises(ValueError, match="nested too deep"):
        compile_pattern("(" * 5000 + ")" * 5000)
