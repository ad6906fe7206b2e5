"""Records, put together to requests."""

from __future__ import annotations

import io
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clary.formats.transform_plan import TransformPlan
from clary.jobs.transform.failures import ObjectFailure
from clary.jobs.transform.payloads import payloads
from clary.jobs.transform.processing import Processing


def bodies(content: bytes, **plan: Any) -> list[bytes]:
    told = TransformPlan(job="job", **plan)
    return [one.body for one in payloads(io.BytesIO(content), told, Processing(told))]


def test_as_many_lines_as_fit_or_one_each() -> None:
    content = b"aa\nbb\ncc\ndd\n"
    assert bodies(content, split="Line") == [b"aa\nbb\ncc\ndd"]
    assert bodies(content, split="Line", max_payload_bytes=5) == [b"aa\nbb", b"cc\ndd"]
    assert bodies(content, split="Line", max_payload_bytes=4) == [b"aa", b"bb", b"cc", b"dd"]
    assert bodies(content, split="Line", several_records=False) == [b"aa", b"bb", b"cc", b"dd"]
    assert bodies(content, max_payload_bytes=None) == [content]
    assert bodies(b"", split="Line") == []


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ObjectFailure, match="MaxPayloadInMB"):
        bodies(b"abc\nabcdef", split="Line", max_payload_bytes=3)
    with pytest.raises(ObjectFailure, match="MaxPayloadInMB"):
        bodies(b"abcdef", max_payload_bytes=3)


@given(
    st.lists(st.binary(min_size=1, max_size=9).filter(lambda one: b"\n" not in one and one.strip()))
)
def test_no_record_is_lost_and_no_request_too_large(lines: list[bytes]) -> None:
    made = bodies(b"\n".join(lines), split="Line", max_payload_bytes=20)
    assert [line for body in made for line in body.split(b"\n")] == lines
    assert all(len(body) <= 20 for body in made)
    # None would fit into the request before.
    for one, after in pairwise(made):
        assert len(one) + 1 + len(after.split(b"\n")[0]) > 20


def test_filters_count_before_the_size_does() -> None:
    made = bodies(
        b"1000000,a\n2000000,b\n",
        split="Line",
        content_type="text/csv",
        input_filter="$[1:]",
        max_payload_bytes=9,
    )
    assert made == [b"a\nb"]


def test_json_lines_that_are_not_split_are_records_all_the_same() -> None:
    made = bodies(
        b'{"id":1,"x":[1]}\n{"id":2,"x":[2]}\n',
        content_type="application/jsonlines",
        input_filter="$.x",
    )
    assert made == [b"[1]\n[2]"]
