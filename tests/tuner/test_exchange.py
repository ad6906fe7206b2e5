"""Questions and answers survive the way between two processes."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clary.errors import FormatError, SpaceExhausted, UsageError
from clary.tuner.exchange import (
    Question,
    read_answer,
    read_question,
    write_answer,
    write_question,
)
from clary.tuner.search import Search
from tests.tuner.strategies import histories, listed_spaces, spaces, unhurried


@unhurried
@given(st.data())
def test_a_question_survives(data: st.DataObject) -> None:
    strategy = data.draw(st.sampled_from(["Bayesian", "Random", "Grid", "Hyperband"]))
    space = data.draw(listed_spaces() if strategy == "Grid" else spaces())
    question = Question(
        Search(
            space,
            strategy,
            data.draw(st.sampled_from(["Minimize", "Maximize"])),
            data.draw(st.integers(0, 2**31)),
            max_resource=9 if strategy == "Hyperband" else None,
            transfer=data.draw(st.booleans()),
        ),
        data.draw(histories(space)),
        data.draw(st.integers(1, 99)),
        data.draw(histories(space)),
    )
    written = write_question(question)
    assert "\n" not in written
    # NaN is not equal to itself, so what was read is compared as it is written.
    read = read_question(written)
    assert write_question(read) == written
    assert read.search == question.search
    assert [type(v) for t in read.trials for v in t.parameters.values()] == [
        type(v) for t in question.trials for v in t.parameters.values()
    ]


def test_an_answer_survives() -> None:
    values = {"lr": 1e-05, "epochs": 3, "optimizer": '"sgd"'}
    assert read_answer(write_answer(values)) == values
    with pytest.raises(SpaceExhausted, match="all of them"):
        read_answer(write_answer(SpaceExhausted("all of them")))


@pytest.mark.parametrize("text", ["", "[]", "{}", "null", '{"search": {"space": [{}]}}', "{"])
def test_what_is_no_question_is_refused(text: str) -> None:
    with pytest.raises(FormatError, match="question"):
        read_question(text)


@pytest.mark.parametrize("text", ["", "[]", "{}", "null", '{"parameters": 1}'])
def test_what_is_no_answer_is_refused(text: str) -> None:
    with pytest.raises(FormatError, match="answer"):
        read_answer(text)


def test_a_question_for_the_impossible_is_refused() -> None:
    range_ = {"kind": "integer", "name": "x", "low": 1, "high": 2, "scaling": "Auto"}
    search = {"space": [range_], "strategy": "Grid", "direction": "Minimize", "seed": 0}
    text = json.dumps({"search": search, "trials": [], "number": 1, "parents": []})
    with pytest.raises(UsageError, match="Grid"):
        read_question(text)
