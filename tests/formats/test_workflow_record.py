"""The record of a run survives being written and read."""

from __future__ import annotations

from datetime import timezone
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clary.errors import FormatError
from clary.formats.workflow_record import (
    RECORD_FILE,
    STAGES,
    AskedPicture,
    Checked,
    Deployed,
    Evaluated,
    Found,
    Predicted,
    Reported,
    StageRecord,
    Trained,
    Tuned,
    WorkflowRecord,
)

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
COUNTS = st.integers(0, 10**9)
SHARES = st.floats(0, 1)
MOMENTS = st.datetimes(timezones=st.just(timezone.utc))
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
FOUND = st.one_of(
    st.builds(Checked, fingerprint=TEXTS, pictures=COUNTS, classes=COUNTS, train=COUNTS),
    st.builds(Tuned, job=TEXTS, parameters=st.dictionaries(TEXTS, TEXTS), objective=NUMBERS),
    st.builds(Trained, job=TEXTS, earlier=st.none() | TEXTS, limit_s=st.none() | COUNTS),
    st.builds(Evaluated, accuracy=SHARES, interval=st.tuples(SHARES, SHARES), ece=SHARES),
    st.builds(Reported, page=TEXTS, tuning_page=st.none() | TEXTS),
    st.builds(Deployed, endpoint=TEXTS, created=st.none() | MOMENTS),
    st.builds(
        Predicted,
        pictures=st.lists(
            st.builds(AskedPicture, probability=SHARES, boto3_probability=SHARES), max_size=2
        ).map(tuple),
    ),
)


def stage_of(found: Found) -> StageRecord:
    return StageRecord(
        stage=found.stage,
        status="done",
        inputs="0",
        began="2026-01-02T03:04:05Z",
        found=found,
    )


@given(st.lists(FOUND, max_size=7), TEXTS)
def test_what_is_written_is_read(found: list[Found], name: str) -> None:
    record = WorkflowRecord(name=name, data="photos")
    for one in found:
        record = record.having(stage_of(one))
    order = [STAGES.index(stage.stage) for stage in record.stages]
    assert order == sorted(set(order))
    assert all(record.of(one.stage) for one in found)
    with TemporaryDirectory() as folder:
        record.write(Path(folder))
        assert WorkflowRecord.read(Path(folder)) == record


def test_there_need_be_none(tmp_path: Path) -> None:
    assert WorkflowRecord.read(tmp_path) is None


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{", "is not readable as JSON"),
        ('{"version": 2}', "has version 2 but this Clary reads up to 1"),
        ('{"version": 1}', "remove it, and the run begins anew"),
    ],
)
def test_a_record_that_cannot_be_read(tmp_path: Path, text: str, sentence: str) -> None:
    (tmp_path / RECORD_FILE).write_text(text)
    with pytest.raises(FormatError, match=sentence):
        WorkflowRecord.read(tmp_path)
