from __future__ import annotations

import csv
import io
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clary.endpoint.codecs import AnswerForm, encode_answer, negotiate
from clary.endpoint.invocation import Refusal
from clary.vision.export.serving_template import inference

CLASSES = ("ant", "bee", "été")
PROBABILITIES = np.array([[0.1, 0.2, 0.7], [0.5, 0.25, 0.25]], np.float32)
JSON = AnswerForm("application/json")
VERBOSE = AnswerForm("application/json", verbose=True)
NPY = AnswerForm("application/x-npy")
CSV = AnswerForm("text/csv")


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        ("", JSON),
        ("*/*", JSON),
        ("*", JSON),
        (" , ", JSON),
        ("application/json", JSON),
        ("Application/JSON; charset=utf-8", JSON),
        ("application/*", JSON),
        ("text/*", CSV),
        ("application/json;verbose=true", VERBOSE),
        ("application/json; verbose=True", VERBOSE),
        ("application/json;verbose=false", JSON),
        ('application/json;verbose="false"', JSON),
        ("application/json;verbose", VERBOSE),
        ("application/x-npy", NPY),
        ("text/csv, application/json;q=0.5", CSV),
        ("application/json;q=0.5, application/x-npy;q=0.8, text/csv;q=0.7", NPY),
        ("application/json;q=0, */*", NPY),
        ("image/png, */*;q=0.1", JSON),
        ("text/csv;q=0.4, application/*;q=0.9, */*;q=0.1", JSON),
        ("application/json;q=high", JSON),
    ],
)
def test_the_form_that_is_wanted_most(accept, form):
    assert negotiate(accept) == form


@pytest.mark.parametrize("accept", ["image/png", "text/html", "application/json;q=0", "json"])
def test_what_is_not_offered_is_406(accept):
    with pytest.raises(Refusal, match="is not offered: ask for application/json") as caught:
        negotiate(accept)
    assert caught.value.status == 406


@given(accept=st.text(max_size=60))
def test_any_accept_is_negotiated_or_406(accept):
    try:
        assert negotiate(accept).content_type in {
            "application/json",
            "application/x-npy",
            "text/csv",
        }
    except Refusal as refusal:
        assert refusal.status == 406


@pytest.mark.parametrize(
    "accept",
    ["", "application/json", "application/json;verbose=true", "application/x-npy", "text/csv"],
)
def test_the_archives_own_handler_answers_the_same(accept):
    answer = inference.Answer(PROBABILITIES, list(CLASSES))
    expected, content_type = inference.output_fn(answer, accept)
    expected = expected.encode() if isinstance(expected, str) else expected
    form = negotiate(accept)
    assert form.content_type == content_type
    assert encode_answer(PROBABILITIES, CLASSES, form) == expected


def test_every_form_holds_the_same_probabilities():
    body = encode_answer(PROBABILITIES, CLASSES, JSON)
    assert np.array_equal(np.array(json.loads(body), np.float32), PROBABILITIES)
    body = encode_answer(PROBABILITIES, CLASSES, NPY)
    assert np.array_equal(np.load(io.BytesIO(body)), PROBABILITIES)
    body = encode_answer(PROBABILITIES, CLASSES, CSV)
    rows = [[float(value) for value in row] for row in csv.reader(io.StringIO(body.decode()))]
    assert np.array_equal(np.array(rows, np.float32), PROBABILITIES)
    body = encode_answer(PROBABILITIES, CLASSES, VERBOSE)
    named = json.loads(body)["predictions"]
    assert [one["label"] for one in named] == ["été", "ant"]
    assert named[0]["probability"] == named[0]["probabilities"]["été"]
    assert set(named[1]["probabilities"]) == set(CLASSES)
