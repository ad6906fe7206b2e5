"""Frames arrive as they were sent, whole or not at all."""

from __future__ import annotations

import asyncio
import socket
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clary.endpoint.frames import MAX_HEAD_BYTES, Frame, FrameError, read, receive, send

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inside: st.lists(inside) | st.dictionaries(st.text(), inside),
    max_leaves=8,
)
FRAMES = st.builds(
    Frame,
    st.text(),
    st.dictionaries(st.text().filter(lambda name: name != "kind"), VALUES),
    st.binary(max_size=200),
)


def streamed(data: bytes) -> Frame | None:
    async def go() -> Frame | None:
        reader = asyncio.StreamReader()
        reader.feed_data(data)
        reader.feed_eof()
        return await read(reader)

    return asyncio.run(go())


def received(data: bytes) -> Frame | None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        writing = threading.Thread(target=lambda: (theirs.sendall(data), theirs.close()))
        writing.start()
        try:
            return receive(ours)
        finally:
            ours.close()
            writing.join()


@settings(max_examples=40)
@given(FRAMES)
def test_both_ends_read_what_was_sent(frame: Frame) -> None:
    data = frame.head() + frame.body
    assert streamed(data) == frame
    assert received(data) == frame


@settings(max_examples=40)
@given(FRAMES, st.data())
def test_one_that_is_cut_off_is_none(frame: Frame, data: st.DataObject) -> None:
    whole = frame.head() + frame.body
    kept = data.draw(st.integers(0, len(whole) - 1))
    assert streamed(whole[:kept]) is None
    assert received(whole[:kept]) is None


@given(st.binary(max_size=64))
def test_anything_else_is_an_error_or_too_short(data: bytes) -> None:
    try:
        frame = streamed(data)
    except FrameError:
        return
    assert frame is None or isinstance(frame.kind, object)


def test_a_head_that_the_other_end_would_not_take_is_not_sent() -> None:
    with pytest.raises(FrameError, match="too long"):
        Frame("answer", {"text": "a" * MAX_HEAD_BYTES}).head()


def test_a_large_body_goes_through() -> None:
    ours, theirs = socket.socketpair()
    body = bytes(range(256)) * 20_000
    with ours, theirs:
        writing = threading.Thread(target=send, args=(theirs, Frame("invoke", {"a": 1}, body)))
        writing.start()
        assert receive(ours) == Frame("invoke", {"a": 1}, body)
        writing.join()
