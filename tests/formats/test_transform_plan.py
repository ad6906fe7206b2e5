"""What one host of a transform job is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from clary.errors import FormatError
from clary.formats.transform_plan import (
    InputObject,
    TransformPlan,
    bare_type,
    read_objects,
    record_format,
    write_objects,
)


def test_a_plan_is_read_as_it_was_written(tmp_path: Path) -> None:
    plan = TransformPlan(
        job="job",
        content_type="text/csv",
        split="TFRecord",
        gzip=True,
        max_payload_bytes=None,
        concurrent=4,
        input_filter="$[1:]",
        ids_at="2026-11-22T00:00:00Z",
    )
    plan.write(tmp_path)
    assert TransformPlan.read(tmp_path) == plan


def test_objects_are_read_as_they_were_written(tmp_path: Path) -> None:
    objects = [
        InputObject("s3://b/a key\nof two lines", "/x/1", "a key\nof two lines"),
        InputObject("s3://b/\u00e4\u2028.csv", "/x/2", "\u00e4\u2028.csv"),
    ]
    write_objects(tmp_path, objects)
    assert list(read_objects(tmp_path)) == objects


def test_what_is_damaged_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="missing"):
        list(read_objects(tmp_path))
    (tmp_path / ".objects.jsonl").write_text('{"uri": 1')
    with pytest.raises(FormatError, match="damaged"):
        list(read_objects(tmp_path))
    (tmp_path / "transform.json").write_text('{"version": 1, "split": "Word"}')
    with pytest.raises(FormatError, match="is not the plan of a transform job"):
        TransformPlan.read(tmp_path)
    (tmp_path / "transform.json").write_text('{"version": 99}')
    with pytest.raises(FormatError, match="install a newer"):
        TransformPlan.read(tmp_path)


def test_content_types_and_how_their_records_are_read() -> None:
    assert bare_type(" Text/CSV; charset=utf-8") == "text/csv"
    assert bare_type(None) == ""
    assert record_format("text/csv; header=absent") == "csv"
    assert record_format("application/json") == record_format("application/jsonlines") == "json"
    assert record_format("image/jpeg") is None
