"""The part of JSONPath that transform jobs filter with."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clary.errors import FormatError
from clary.formats.json_path import JsonPath

ROW = ["a", "b", "c", "d", "e", "f", "g"]
RECORD = {
    "id": 7,
    "features": [1, 2, 3],
    "two words": {"x": 1, "y": 2, "z": 3},
    "list": [{"b": 1}, {"b": 2}],
}


@pytest.mark.parametrize(
    ("path", "value", "found"),
    [
        ("$", RECORD, RECORD),
        ("$.id", RECORD, 7),
        ("$['id']", RECORD, 7),
        ('$["two words"].x', RECORD, 1),
        ("$['two words']['x','z']", RECORD, {"x": 1, "z": 3}),
        ("$['two words'].['x', 'z']", RECORD, {"x": 1, "z": 3}),
        ("$['id','features']", RECORD, {"id": 7, "features": [1, 2, 3]}),
        ("$.features[0]", RECORD, 1),
        ("$.features[-1]", RECORD, 3),
        ("$['two words'].*", RECORD, [1, 2, 3]),
        ("$.list[*].b", RECORD, [1, 2]),
        ("$.list[0:0].b", RECORD, [1]),
        ("$[0]", ROW, "a"),
        ("$[1,3,5]", ROW, ["b", "d", "f"]),
        ("$[1:]", ROW, ROW[1:]),
        ("$[1:4]", ROW, ["b", "c", "d", "e"]),
        ("$[:5]", ROW, ROW[:6]),
        ("$[:-1]", ROW, ROW),
        ("$[-2:]", ROW, ["f", "g"]),
        ("$[0,5:]", ROW, ["a", "f", "g"]),
        ("$[0,-1]", ROW, ["a", "g"]),
    ],
)
def test_what_a_path_names(path: str, value: Any, found: Any) -> None:
    assert JsonPath.parse(path).apply(value) == found


@pytest.mark.parametrize(
    "path",
    [
        "",
        "id",
        "$id",
        "$..id",
        "$.",
        "$[",
        "$[]",
        "$['a'",
        "$['a' 'b']",
        "$[a]",
        "$[1;2]",
        "$[?(@.a)]",
    ],
)
def test_what_is_no_path(path: str) -> None:
    with pytest.raises(FormatError, match="JSONPath"):
        JsonPath.parse(path)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("$.nothing", RECORD),
        ("$['id','nothing']", RECORD),
        ("$.id.x", RECORD),
        ("$[7]", ROW),
        ("$[0,7]", ROW),
        ("$[-8]", ROW),
        ("$[0]", RECORD),
        ("$.id.*", RECORD),
    ],
)
def test_what_a_record_does_not_have(path: str, value: Any) -> None:
    with pytest.raises(FormatError):
        JsonPath.parse(path).apply(value)


@pytest.mark.parametrize(
    ("path", "columns"),
    [("$", True), ("$[1:]", True), ("$.*", True), ("$.a", False), ("$[0][1]", False)],
)
def test_which_paths_name_columns(path: str, columns: bool) -> None:
    assert JsonPath.parse(path).selects_columns == columns


@given(st.text("$.[]'\"*,:-0123456789ab ", max_size=20))
def test_any_text_is_a_path_or_refused_in_a_sentence(text: str) -> None:
    try:
        path = JsonPath.parse(text)
    except FormatError:
        return
    assert JsonPath.parse(path.text) == path
    for value in (RECORD, ROW, 3, None):
        try:
            path.apply(value)
        except FormatError:
            continue
