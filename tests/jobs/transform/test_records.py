"""Objects, split into records."""

from __future__ import annotations

import gzip
import io
import struct
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clary.formats.transform_plan import Split, TransformPlan
from clary.jobs.transform.failures import ObjectFailure
from clary.jobs.transform.records import opened, split_records

MAGIC = 0xCED7230A


def recordio_frame(data: bytes, part: int = 0) -> bytes:
    return struct.pack("<II", MAGIC, part << 29 | len(data)) + data + bytes(-len(data) % 4)


def tfrecord_frame(data: bytes) -> bytes:
    return struct.pack("<QI", len(data), 0) + data + struct.pack("<I", 0)


def split(content: bytes, how: Split, limit: int | None = None) -> list[bytes]:
    return list(split_records(io.BytesIO(content), how, limit))


def test_lines_are_records_and_empty_ones_are_none() -> None:
    assert split(b"a\n\n b \r\n\nc", "Line") == [b"a", b" b \r", b"c"]
    assert split(b"", "Line") == []


@given(st.lists(st.binary(min_size=1).filter(lambda one: b"\n" not in one and one.strip())))
def test_lines_come_back(lines: list[bytes]) -> None:
    assert split(b"\n".join(lines), "Line") == lines


@given(st.lists(st.binary()))
def test_frames_come_back(records: list[bytes]) -> None:
    recordio = [recordio_frame(one) for one in records]
    assert split(b"".join(recordio), "RecordIO") == recordio
    tfrecords = [tfrecord_frame(one) for one in records]
    assert split(b"".join(tfrecords), "TFRecord") == tfrecords


def test_a_record_that_goes_on_in_the_next_frame_is_one() -> None:
    parts = [recordio_frame(b"abc", 1), recordio_frame(b"de", 2), recordio_frame(b"f", 3)]
    whole = recordio_frame(b"whole")
    assert split(b"".join([*parts, whole]), "RecordIO") == [b"".join(parts), whole]


@given(st.binary(), st.sampled_from(["Line", "RecordIO", "TFRecord", "None"]))
def test_any_bytes_are_records_or_refused_in_a_sentence(content: bytes, how: Split) -> None:
    try:
        records = split(content, how, 50)
    except ObjectFailure as failure:
        assert failure.blamed == "ClientError"
    else:
        assert all(len(record) <= 50 for record in records)


@pytest.mark.parametrize(
    ("content", "how", "sentence"),
    [
        (b"x" * 11, "Line", "a line has more than 10 bytes"),
        (b"x" * 11, "None", "the object has more than 10 bytes"),
        (recordio_frame(b"abc"), "RecordIO", "a record has more than 10 bytes"),
        (tfrecord_frame(b"abc"), "TFRecord", "a record has more than 10 bytes"),
        (b"12345678", "RecordIO", "no RecordIO"),
        (b"1234", "RecordIO", "ends within a record"),
        (b"\0\0", "TFRecord", "ends within a record"),
    ],
)
def test_what_is_no_record(content: bytes, how: Split, sentence: str) -> None:
    with pytest.raises(ObjectFailure, match=sentence):
        split(content, how, 10)


@pytest.mark.parametrize(
    ("content", "how"),
    [
        (b"\xff" * 40, "TFRecord"),
        (struct.pack("<QI", 1 << 40, 0) + b"data", "TFRecord"),
        (struct.pack("<II", MAGIC, (1 << 29) - 1) + b"data", "RecordIO"),
    ],
)
def test_a_frame_that_announces_more_than_there_is_claims_no_memory(
    content: bytes, how: Split
) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(ObjectFailure, match="ends within a record"):
            split(content, how, None)
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()


def test_what_cannot_be_read_is_the_object_s_fault(tmp_path: Path) -> None:
    plan = TransformPlan(job="job", gzip=True)
    good, bad, cut = tmp_path / "good", tmp_path / "bad", tmp_path / "cut"
    good.write_bytes(gzip.compress(b"content" * 100))
    bad.write_bytes(b"not packed")
    cut.write_bytes(good.read_bytes()[:-9])
    with opened(str(good), plan) as file:
        assert file.read() == b"content" * 100
    for path in (bad, cut):
        with (
            pytest.raises(ObjectFailure, match="cannot be unpacked"),
            opened(str(path), plan) as file,
        ):
            file.read()
    with pytest.raises(ObjectFailure, match="cannot be read"), opened(str(tmp_path / "no"), plan):
        pass
