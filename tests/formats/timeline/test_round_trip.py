"""What a writer was given is what a reader finds, whenever it looks."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from clary.formats.timeline import (
    Facts,
    LoadRecord,
    LoadWriter,
    Mode,
    Span,
    StepRecord,
    TimelineWriter,
)
from clary.formats.timeline.entries import Functions, Operators
from clary.formats.timeline.reader import LOAD_DTYPE, STEP_DTYPE, Timeline
from tests.formats.timeline import made

Batches = st.lists(st.lists(made.steps, max_size=4), max_size=4)
Breaks = st.lists(st.sampled_from(["go on", "look", "reopen"]), max_size=4)


def packed(records: Sequence[StepRecord] | Sequence[LoadRecord]) -> list[bytes]:
    """As a reader has them: in the order of their start."""
    return [one.pack() for one in sorted(records, key=lambda one: one.start_us)]


@given(Batches, Breaks)
@settings(max_examples=80)
def test_steps_are_read_back(batches: list[list[StepRecord]], breaks: list[str]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        writer = TimelineWriter(folder)
        timeline = Timeline(folder)
        for place, batch in enumerate(batches):
            writer.write_steps(batch)
            what = breaks[place] if place < len(breaks) else "go on"
            if what == "look":
                timeline.refresh()
            elif what == "reopen":
                writer.close()
                writer = TimelineWriter(folder)
        writer.close()
        timeline.refresh()
        found = timeline.workers["worker_0"].steps()
        written = [record for batch in batches for record in batch]
        assert found.dtype == STEP_DTYPE
        assert sorted(made.rows(found, StepRecord.LAYOUT)) == sorted(packed(written))
        assert sorted(found["start_us"].tolist()) == found["start_us"].tolist()
        assert not timeline.refresh()
        for mode in Mode:
            own = timeline.workers["worker_0"].steps(mode)
            assert len(own) == sum(record.mode == mode for record in written)


@given(st.lists(made.loads, max_size=6), st.integers(0, 6))
def test_batches_are_read_back(loads: list[LoadRecord], look_after: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        writer, timeline = LoadWriter(Path(name)), Timeline(Path(name))
        for place, record in enumerate(loads):
            writer.write(record)
            if place == look_after:
                timeline.refresh()
        writer.close()
        writer.close()
        timeline.refresh()
        found = timeline.workers["worker_0"].loads()
        assert found.dtype == LOAD_DTYPE
        assert sorted(made.rows(found, LoadRecord.LAYOUT)) == sorted(packed(loads))


@given(st.lists(made.spans, max_size=5), made.facts, made.operators, made.functions)
@settings(max_examples=60)
def test_the_rest_is_read_back(
    spans: list[Span], facts: Facts, operators: Operators, functions: Functions
) -> None:
    with tempfile.TemporaryDirectory() as name:
        writer, timeline = TimelineWriter(Path(name)), Timeline(Path(name))
        for span in spans:
            writer.write_span(span)
            assert timeline.refresh()
        writer.write_facts(facts)
        writer.write_operators(operators)
        writer.write_functions(functions)
        writer.close()
        timeline.refresh()
        worker = timeline.workers["worker_0"]
        assert list(worker.spans) == sorted(spans, key=lambda one: one.start_us)
        assert worker.facts == facts
        assert worker.operators == (operators,)
        assert worker.functions == (functions,)
        assert worker.failures == ()
