"""Lines as they come, whatever the blocks they come in."""

from __future__ import annotations

import itertools
import resource
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clary.formats.log_file import EVENT_LIMIT_BYTES, read_events
from clary.jobs.host.log_writer import LogWriter


def messages(path: Path) -> list[str]:
    return [event.message for event in read_events(path)]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    text=st.text(st.characters(exclude_characters="\r", exclude_categories=["Cs"]), max_size=80),
    cuts=st.lists(st.integers(0, 200), max_size=6),
)
def test_blocks_do_not_matter(tmp_path: Path, text: str, cuts: list[int]) -> None:
    path = tmp_path / "log"
    path.unlink(missing_ok=True)
    log = LogWriter(path)
    data = text.encode()
    edges = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    for begin, end in itertools.pairwise(edges):
        log.feed(data[begin:end])
    log.close()
    lines = text.split("\n")
    assert messages(path) == (lines if lines[-1] else lines[:-1])
    assert list(log.tail) == messages(path)


def test_a_line_without_a_newline_waits_for_it(tmp_path: Path) -> None:
    log = LogWriter(tmp_path / "log")
    log.feed(b"epoch 1")
    assert messages(tmp_path / "log") == []
    log.feed(b" loss 0.3\r\nnext")
    assert messages(tmp_path / "log") == ["epoch 1 loss 0.3"]
    log.close()
    assert messages(tmp_path / "log") == ["epoch 1 loss 0.3", "next"]


def test_endless_lines_are_cut(tmp_path: Path) -> None:
    log = LogWriter(tmp_path / "log")
    log.feed(b"x" * (2 * EVENT_LIMIT_BYTES + 1))
    log.close()
    assert [len(text) for text in messages(tmp_path / "log")] == [EVENT_LIMIT_BYTES] * 2 + [1]


def test_a_full_disk_costs_lines_and_says_how_many(tmp_path: Path) -> None:
    path = tmp_path / "log"
    log = LogWriter(path)
    log.say("before")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 5, limits[1]))
    try:
        log.feed(b"lost 1\nlost 2\n")
        log.feed(b"lost 3\n")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    log.say("after")
    log.close()
    assert messages(path) == [
        "before",
        "clary: 3 lines are missing here: the disk was full",
        "after",
    ]


def test_lines_that_were_written_before_the_disk_was_full_stay(tmp_path: Path) -> None:
    path = tmp_path / "log"
    log = LogWriter(path)
    log.say("first")
    size = path.stat().st_size
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2 * size + 3, limits[1]))
    try:
        log.feed(b"whole\nlost 1\nlost 2\n")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    log.say("after")
    log.close()
    told = "clary: 2 lines are missing here: the disk was full"
    assert messages(path) == ["first", "whole", told, "after"]


def test_nothing_of_a_long_line_is_lost_whatever_its_bytes(tmp_path: Path) -> None:
    log = LogWriter(tmp_path / "log")
    log.feed(b"\xff" * EVENT_LIMIT_BYTES + b"\n")
    log.feed("xö€".encode() * EVENT_LIMIT_BYTES)
    log.close()
    text = "".join(messages(tmp_path / "log"))
    assert text == "\ufffd" * EVENT_LIMIT_BYTES + "xö€" * EVENT_LIMIT_BYTES
