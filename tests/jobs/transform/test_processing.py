"""Filters, joins and ids."""

from __future__ import annotations

import csv
import json
import uuid
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clary.errors import FormatError
from clary.formats.transform_plan import TransformPlan
from clary.jobs.transform.failures import ObjectFailure
from clary.jobs.transform.processing import Processing

CSV, JSON, LINES = "text/csv", "application/json", "application/jsonlines"
AT = "2026-11-22T00:00:00Z"


def processed(record: bytes, answer: bytes, content_type: str = CSV, **plan: Any) -> bytes:
    """What is stored of one record's answer."""
    processing = Processing(TransformPlan(job="job", content_type=content_type, **plan))
    _, source = processing.seen_by_model(record)
    return processing.stored([source], answer)


def seen(record: bytes, path: str, content_type: str) -> bytes:
    plan = TransformPlan(job="job", content_type=content_type, input_filter=path)
    return Processing(plan).seen_by_model(record)[0]


def test_without_processing_bytes_go_through_untouched() -> None:
    assert processed(b"\xff\n", b"\xfe", content_type="image/jpeg") == b"\xfe"
    assert processed(b"1,2\r", b"3 \n") == b"3 \n"


@pytest.mark.parametrize(
    ("record", "path", "content_type", "expected"),
    [
        (b"7,a,b\r", "$[1:]", CSV, b"a,b"),
        (b'7,"a,b",c', "$[1]", CSV, b'"a,b"'),
        (b'{"id": 1, "features": [1.5, 2]}', "$.features", JSON, b"[1.5,2]"),
        (
            b'{"id": 1, "x": "\xc3\xa4", "y": null}',
            "$['x','y']",
            LINES,
            '{"x":"ä","y":null}'.encode(),
        ),
    ],
)
def test_what_the_model_sees(record: bytes, path: str, content_type: str, expected: bytes) -> None:
    assert seen(record, path, content_type) == expected


@pytest.mark.parametrize(
    ("record", "answer", "content_type", "plan", "expected"),
    [
        (b"1,2,3", b"1", CSV, {}, b"1,2,3,1"),
        (b"7,a", b"0.5,0.5\n", CSV, {"output_filter": "$[0,-1]"}, b"7,0.5"),
        (b'{"key":1}', b'{"label":1}', JSON, {}, b'{"key":1,"SageMakerOutput":{"label":1}}'),
        (b"[1,2]", b"[[0.5]]", JSON, {}, b'{"SageMakerInput":[1,2],"SageMakerOutput":[[0.5]]}'),
        (
            b'{"id":3,"x":9}',
            b"[1]",
            LINES,
            {"output_filter": "$['id','SageMakerOutput']"},
            b'{"id":3,"SageMakerOutput":[1]}',
        ),
    ],
)
def test_what_is_joined(
    record: bytes, answer: bytes, content_type: str, plan: dict[str, Any], expected: bytes
) -> None:
    assert processed(record, answer, content_type, join=True, **plan) == expected


def test_every_record_of_a_request_gets_its_own_answer() -> None:
    processing = Processing(TransformPlan(job="job", content_type=LINES, join=True))
    sources = [processing.seen_by_model(line)[1] for line in (b"1", b"2")]
    assert processing.stored(sources, b'"a"\n"b"\n') == (
        b'{"SageMakerInput":1,"SageMakerOutput":"a"}\n{"SageMakerInput":2,"SageMakerOutput":"b"}'
    )
    with pytest.raises(ObjectFailure, match="answered 2 records with 1"):
        processing.stored(sources, b'["a","b"]')


def test_ids_are_given_to_every_record() -> None:
    row = processed(b"1", b"0", ids_at=AT).decode().split(",")
    assert (row[0], row[2]) == ("0", AT)
    assert uuid.UUID(row[1])
    member = json.loads(processed(b"1", b'{"output":0}', JSON, ids_at=AT))
    assert (member["output"], member["SageMakerInferenceTime"]) == (0, AT)
    assert uuid.UUID(member["SageMakerInferenceId"])
    wrapped = json.loads(processed(b"x", b"[[0.5]]", "image/png", accept=JSON, ids_at=AT))
    assert wrapped["SageMakerOutput"] == [[0.5]]


@pytest.mark.parametrize(
    ("record", "answer", "content_type", "plan", "sentence"),
    [
        (b"{", b"1", JSON, {"join": True}, "a record cannot be read as JSON"),
        (b'1,"2', b"1", CSV, {"join": True}, "a record cannot be read as CSV"),
        (b"\xff", b"1", CSV, {"join": True}, "a record cannot be read as CSV"),
        (
            b"1",
            b"<html>",
            JSON,
            {"join": True},
            "Failed to parse output from the algorithm as JSON",
        ),
        (b"1", b"\xff", CSV, {"join": True}, "Failed to parse output from the algorithm as CSV"),
        (b"1", b"2\n3", CSV, {"join": True}, "answered 1 records with 2"),
        (b"1\n2\n", b"2", CSV, {"join": True}, "2 rows where one is expected: set SplitType"),
        (b"1,a\rb", b"2", CSV, {"join": True}, "a record cannot be read as CSV"),
        (b"1,2", b"1", CSV, {"input_filter": "$[4]"}, "InputFilter: a record has 2 elements"),
        (b"1", b"1", CSV, {"output_filter": "$[1]"}, "OutputFilter: a record has 1 elements"),
    ],
)
def test_what_cannot_be_processed(
    record: bytes, answer: bytes, content_type: str, plan: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ObjectFailure, match=sentence):
        processed(record, answer, content_type, **plan)


@pytest.mark.parametrize(
    "plan",
    [
        {"content_type": "image/jpeg", "join": True},
        {"content_type": "image/jpeg", "input_filter": "$[0]"},
        {"content_type": CSV, "accept": "image/png", "output_filter": "$[0]"},
        {"content_type": CSV, "input_filter": "nothing"},
    ],
)
def test_plans_that_do_not_go_together(plan: dict[str, Any]) -> None:
    with pytest.raises(FormatError):
        Processing(TransformPlan(job="job", **plan))


cells = st.text(st.characters(exclude_characters="\r\n\0", exclude_categories=["Cs"]), max_size=9)


@given(st.lists(cells, min_size=2, max_size=4), st.lists(cells, min_size=1, max_size=3))
def test_no_cell_is_cut_whatever_it_holds(record: list[str], answer: list[str]) -> None:
    def line(row: list[str]) -> str:
        return ",".join('"' + cell.replace('"', '""') + '"' for cell in row)

    seen_by_model = seen(line(record).encode(), "$[0:]", CSV)
    assert next(csv.reader([seen_by_model.decode()])) == record
    joined = processed(line(record).encode(), line(answer).encode(), join=True)
    assert next(csv.reader([joined.decode()])) == [*record, *answer]


@given(st.binary(), st.binary(), st.sampled_from([CSV, JSON, LINES]), st.booleans())
def test_any_bytes_are_processed_or_refused_in_a_sentence(
    record: bytes, answer: bytes, content_type: str, join: bool
) -> None:
    try:
        processed(record, answer, content_type, join=join, ids_at=AT, input_filter="$.*")
    except ObjectFailure as failure:
        assert failure.blamed == "ClientError"
