"""What becomes of an endpoint's answer, whatever it is."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clary.errors import ServiceError
from clary.sdk.predictor import Answer, ranked

FINITE = st.floats(-50, 50, allow_nan=False)


def answer(content: object) -> Answer:
    return Answer(json.dumps(content).encode(), "application/json")


@given(st.lists(FINITE, min_size=1, max_size=20))
def test_numbers_become_a_ranking_that_adds_up_to_one(row: list[float]) -> None:
    for content in (row, [row], {"predictions": [row]}):
        found = ranked(answer(content))
        values = [value for _, value in found]
        assert values == sorted(values, reverse=True)
        assert math.isclose(sum(values), 1, abs_tol=0.03)
        assert {label for label, _ in found} == {str(k) for k in range(len(row))}
        assert math.isclose(row[int(found[0][0])], max(row), abs_tol=1e-9)


def test_probabilities_stay_as_they_are_and_logarithms_become_them() -> None:
    row = [0.7, 0.1, 0.2]
    assert ranked(answer([row])) == (("0", 0.7), ("2", 0.2), ("1", 0.1))
    logarithms = ranked(answer([np.log(row).tolist()]))
    assert [label for label, _ in logarithms] == ["0", "2", "1"]
    assert [value for _, value in logarithms] == pytest.approx([0.7, 0.2, 0.1])


def test_classes_are_named_where_the_model_names_them() -> None:
    named = {"label": "bee", "probability": 0.8, "probabilities": {"ant": 0.2, "bee": 0.8}}
    assert ranked(answer({"predictions": [named]}), 1) == (("bee", 0.8),)
    best = {"predictions": [{"label": "bee", "probability": 0.8}]}
    assert ranked(answer(best)) == (("bee", 0.8),)


@pytest.mark.parametrize("content", [[], {}, "bee", 3, [[]], {"predictions": []}, [["bee"]], None])
def test_anything_else_is_one_sentence(content: object) -> None:
    with pytest.raises(ServiceError, match="no list of probabilities"):
        ranked(answer(content))
