"""The log of one stream: what was written is read, forward, backward and from a time on."""

from __future__ import annotations

from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clary.formats.log_file import (
    EVENT_LIMIT_BYTES,
    encode_events,
    read_events,
    read_events_before,
    seek_time,
)

messages = st.text(st.characters(exclude_characters="\r", exclude_categories=["Cs"]), max_size=50)
events = st.lists(st.tuples(st.integers(0, 10**13), messages), max_size=20)
any_path = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


@any_path
@given(events, st.integers(1, 5))
def test_pages_forward_and_backward_are_what_was_written(
    tmp_path: Path, written: list[tuple[int, str]], limit: int
) -> None:
    path = tmp_path / "log"
    path.write_bytes(encode_events(written))
    forward, offset = [], 0
    while page := read_events(path, offset, limit):
        forward += page
        offset = page[-1].end
    assert [(event.timestamp_ms, event.message) for event in forward] == written
    backward, end = [], None
    while page := read_events_before(path, end, limit):
        backward = page + backward
        end = page[0].offset
    assert backward == forward


def test_a_line_that_is_being_written_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "log"
    assert read_events(path) == read_events_before(path) == []
    path.write_bytes(b"1 whole\n2 ha")
    assert [event.message for event in read_events(path)] == ["whole"]
    assert [event.message for event in read_events_before(path)] == ["whole"]
    with path.open("ab") as file:
        file.write(b"lf\n")
    assert [event.message for event in read_events(path, 8)] == ["half"]


def test_a_torn_line_is_shown_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"\xff torn\n5 fine\n")
    assert [event.message for event in read_events(path)] == ["\ufffd torn", "fine"]


def test_a_text_beyond_the_limit_is_cut_into_several_events(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(encode_events([(1, "x" * (EVENT_LIMIT_BYTES + 5)), (2, "next")]))
    first, second, third = read_events(path)
    assert (len(first.message), second.message, third.message) == (
        EVENT_LIMIT_BYTES,
        "xxxxx",
        "next",
    )


@any_path
@given(
    st.lists(st.integers(0, 1000), min_size=1, max_size=60).map(sorted),
    st.integers(-1, 1001),
    st.integers(1, 20_000),
)
def test_seeking_a_time_passes_over_no_event_that_is_late_enough(
    tmp_path: Path, times: list[int], wanted: int, size: int
) -> None:
    path = tmp_path / "log"
    path.write_bytes(encode_events((at, "x" * size) for at in times))
    offset = seek_time(path, wanted)
    found = read_events(path, offset)
    assert len([event for event in found if event.timestamp_ms >= wanted]) == sum(
        at >= wanted for at in times
    )
    assert all(event.timestamp_ms in times for event in found)
