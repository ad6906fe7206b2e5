"""A timeline that grows, of several processes, of other versions, damaged."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from clary.errors import FormatError
from clary.formats.timeline import Facts, LoadWriter, Mode, Span, TimelineWriter
from clary.formats.timeline.reader import STEP_DTYPE, Timeline
from clary.formats.timeline.writer import STEPS_MAGIC
from tests.formats.timeline.made import BEGIN_US, step


def test_what_is_new_comes_with_each_refresh(tmp_path: Path) -> None:
    timeline = Timeline(tmp_path)
    assert not timeline.refresh()
    assert timeline.workers == {}
    writer = TimelineWriter(tmp_path)
    timeline.refresh()
    worker = timeline.workers["worker_0"]
    assert (worker.facts, len(worker.steps()), len(worker.loads())) == (None, 0, 0)
    for number in range(5):
        writer.write_steps([step(number)])
        assert timeline.refresh()
        assert not timeline.refresh()
        assert worker.steps()["step"].tolist() == list(range(number + 1))
    writer.write_facts(Facts("worker_0", 1, "algo-1", BEGIN_US))
    assert timeline.refresh()
    writer.write_facts(Facts("worker_0", 1, "algo-1", BEGIN_US, ended_us=BEGIN_US + 1))
    assert timeline.refresh()
    assert worker.facts is not None
    assert worker.facts.ended_us == BEGIN_US + 1
    writer.record_failure("the clock stands still\nsince noon")
    assert timeline.refresh()
    assert worker.failures == ("the clock stands still\nsince noon",)


def test_what_was_taken_stays_as_it_was(tmp_path: Path) -> None:
    writer, timeline = TimelineWriter(tmp_path), Timeline(tmp_path)
    writer.write_steps([step(number) for number in range(10, 20)])
    timeline.refresh()
    taken = timeline.workers["worker_0"].steps()
    before = taken.tobytes()
    writer.write_steps([step(number) for number in range(20, 40)])
    timeline.refresh()
    writer.write_steps([step(number) for number in range(10)])  # began earlier, written later
    timeline.refresh()
    assert timeline.workers["worker_0"].steps()["step"].tolist() == list(range(40))
    assert taken.tobytes() == before
    with pytest.raises(ValueError, match="read-only"):
        taken["seconds"] = 0


def test_a_record_that_is_not_whole_is_left_out_until_it_is(tmp_path: Path) -> None:
    content = STEPS_MAGIC + step(0).pack() + step(1).pack()
    folder = tmp_path / "timeline" / "worker_0"
    folder.mkdir(parents=True)
    timeline = Timeline(tmp_path)
    for cut in range(len(content) + 1):
        (folder / "steps-000001.bin").write_bytes(content[:cut])
        timeline.refresh()
        whole = max(0, cut - len(STEPS_MAGIC)) // STEP_DTYPE.itemsize
        assert timeline.workers["worker_0"].steps()["step"].tolist() == list(range(whole))


def test_a_line_that_is_not_whole_is_left_out_until_it_is(tmp_path: Path) -> None:
    writer, timeline = TimelineWriter(tmp_path), Timeline(tmp_path)
    span = Span("checkpoint", BEGIN_US, BEGIN_US + 5, 'model "ü".pt')
    writer.write_span(span)
    writer.write_span(span)
    (file,) = writer.folder.glob("spans-*.jsonl")
    content = file.read_bytes()
    for cut in range(len(content) + 1):
        file.write_bytes(content[:cut])
        timeline.refresh()
        assert timeline.workers["worker_0"].spans == (span,) * content[:cut].count(b"\n")


def test_zeros_that_a_power_cut_leaves_are_no_steps(tmp_path: Path) -> None:
    writer, timeline = TimelineWriter(tmp_path), Timeline(tmp_path)
    writer.write_steps([step(0)])
    (file,) = writer.folder.glob("steps-*.bin")
    file.write_bytes(file.read_bytes() + bytes(3 * STEP_DTYPE.itemsize + 5))
    timeline.refresh()
    assert timeline.workers["worker_0"].steps()["step"].tolist() == [0]


def test_workers_and_loaders_are_told_apart(tmp_path: Path) -> None:
    for name in ("worker_1", "worker_0"):
        writer = TimelineWriter(tmp_path, name)
        writer.write_steps([step(0), step(0, Mode.EVAL)])
        LoadWriter(tmp_path, name).close()
    (tmp_path / "timeline" / ".copying").mkdir()
    (tmp_path / "timeline" / "file").write_text("")
    timeline = Timeline(tmp_path)
    timeline.refresh()
    assert list(timeline.workers) == ["worker_0", "worker_1"]
    assert [len(one.steps(Mode.EVAL)) for one in timeline.workers.values()] == [1, 1]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"clary-steps-0002" + bytes(80), "is of version 2, this Clary reads up to 1: update"),
        (b"clary-loads-0001" + bytes(80), "is damaged: it does not begin as a file of a timeline"),
        (b"\x00" * 96, "is damaged: it does not begin"),
    ],
)
def test_another_file_of_steps_is_refused(content: bytes, sentence: str, tmp_path: Path) -> None:
    writer = TimelineWriter(tmp_path)
    writer.write_steps([step(0)])
    (writer.folder / "steps-000002.bin").write_bytes(content)
    timeline = Timeline(tmp_path)
    for _ in range(2):
        with pytest.raises(FormatError, match=sentence):
            timeline.refresh()
    (writer.folder / "steps-000002.bin").unlink()
    timeline.refresh()
    assert len(timeline.workers["worker_0"].steps()) == 1


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("facts.json", '{"worker": "worker_0"', "facts.json is damaged: "),
        ("facts.json", "[]", "facts.json is damaged: it holds no object"),
        ("facts.json", '{"version": 2}', "the timeline is of version 2, this Clary reads up to 1"),
        ("facts.json", '{"worker": "worker_0"}', "an entry of the timeline is damaged: "),
        ("operators-1-2.json", '{"version": 2, "mode": 1}', "is of version 2, this Clary reads"),
        ("operators-1-2.json", '{"mode": 7}', "is damaged: 7 is not a valid Mode"),
        ("functions-1-2.json", '{"mode": 1, "functions": [3]}', "an entry of the timeline is dam"),
        ("spans-000001.jsonl", '{"kind": "evaluation"}\n', "an entry of the timeline is damaged"),
    ],
)
def test_what_is_damaged_is_told(name: str, content: str, sentence: str, tmp_path: Path) -> None:
    writer = TimelineWriter(tmp_path)
    (writer.folder / name).write_text(content)
    with pytest.raises(FormatError, match=sentence):
        Timeline(tmp_path).refresh()


def test_what_a_later_program_adds_is_left_out(tmp_path: Path) -> None:
    writer = TimelineWriter(tmp_path)
    facts = Facts("worker_0", 1, "algo-1", BEGIN_US)
    later = {**facts.as_json(), "mood": "good", "train_loading": {"kind": "DataLoader", "luck": 1}}
    (writer.folder / "facts.json").write_text(json.dumps(later))
    (writer.folder / "spans-000001.jsonl").write_text(
        '{"kind": "other", "start_us": 1, "end_us": 2, "depth": 3}\n"no object"\n'
    )
    timeline = Timeline(tmp_path)
    timeline.refresh()
    worker = timeline.workers["worker_0"]
    assert worker.facts is not None
    assert worker.facts.train_loading is not None
    assert worker.facts.train_loading.kind == "DataLoader"
    assert worker.spans == (Span("other", 1, 2),)


def test_many_files_of_many_records(tmp_path: Path) -> None:
    folder = tmp_path / "timeline" / "worker_0"
    folder.mkdir(parents=True)
    records = np.zeros(300_000, STEP_DTYPE)
    records["mode"] = Mode.TRAIN
    records["step"] = np.arange(len(records))
    records["start_us"] = BEGIN_US + 1000 * records["step"]
    timeline = Timeline(tmp_path)
    parts = np.array_split(records, 60)
    for number, part in enumerate(parts):
        (folder / f"steps-{number:06}.bin").write_bytes(STEPS_MAGIC + part.tobytes())
        if number % 20 == 0:
            assert timeline.refresh()
    timeline.refresh()
    assert (timeline.workers["worker_0"].steps()["step"] == records["step"]).all()
