"""What a writer was given is what a reader finds: any names, kinds of numbers and shapes."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from clary.formats.tensor_log import Span, TensorLog, TensorLogWriter
from clary.formats.tensor_log.entries import Capture
from tests.formats.tensor_log.made import Expected, captures, same

# After which captures the writer makes a segment, and after which it is replaced by another one.
Breaks = st.lists(st.sampled_from(["go on", "flush", "reopen"]), max_size=6)


def write(folder: Path, given_captures: Sequence[Capture], breaks: Sequence[str]) -> None:
    writer = TensorLogWriter(folder)
    for place, capture in enumerate(given_captures):
        writer.write(capture)
        what = breaks[place] if place < len(breaks) else "go on"
        if what == "flush":
            writer.flush()
        elif what == "reopen":
            writer.close()
            writer = TensorLogWriter(folder)
    writer.close()


def check(log: TensorLog, expected: Expected) -> None:
    assert [step.number for step in log.steps()] == expected.steps
    assert set(log.names()) == expected.names
    for name in expected.names:
        assert same(dict(log.scalars(name)), expected.scalars.get(name, {}))
        assert same(dict(log.statistics(name)), expected.statistics.get(name, {}))
        kept = expected.raw.get(name, {})
        assert set(log.raw_steps(name)) == kept.keys()
        for step, tensor in kept.items():
            assert same(log.raw(name, step), tensor)
            assert log.shape(name, step) == tensor.shape or step in expected.shapes.get(name, {})
        for step, shape in expected.shapes.get(name, {}).items():
            assert log.shape(name, step) == shape or step in kept
    for (name, kind), values in expected.units.items():
        assert same(dict(log.units(name, kind)), values)


@given(st.lists(captures, max_size=6), Breaks)
@settings(max_examples=60)
def test_a_log_holds_what_was_written(held: list[Capture], breaks: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder), held, breaks)
        log = TensorLog(Path(folder))
        assert log.ended
        check(log, Expected(held))


@given(st.lists(captures, max_size=5), Breaks)
@settings(max_examples=30)
def test_a_reader_that_follows_sees_the_same(held: list[Capture], breaks: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        writer = TensorLogWriter(Path(folder))
        log = TensorLog(Path(folder))
        for place, capture in enumerate(held):
            writer.write(capture)
            if place < len(breaks) and breaks[place] == "flush":
                writer.flush()
            assert log.refresh()
            assert not log.refresh()
            check(log, Expected(held[: place + 1]))
        writer.close()


@given(st.lists(captures, max_size=6), Breaks, st.integers(-1, 12), st.integers(0, 12))
@settings(max_examples=30)
def test_a_span_is_a_part_of_the_whole(
    held: list[Capture], breaks: list[str], after: int, until: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder), held, breaks)
        log = TensorLog(Path(folder))
        span = Span(after, until)
        for name in log.names():
            for read in (log.scalars, log.statistics):
                whole = read(name)
                part = {step: value for step, value in whole.items() if after < step <= until}
                assert same(dict(read(name, span=span)), part)
            assert log.steps_of(name, span=span) == tuple(
                step for step in log.steps_of(name) if after < step <= until
            )
