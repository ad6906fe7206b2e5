"""Reading the end of a text file, and what is appended to it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path


def last_lines(path: Path, count: int) -> tuple[list[str], int]:
    """The last lines of a file, and the offset behind them."""
    with path.open("rb") as file:
        lines = deque(file, maxlen=count)
        return [_text(line) for line in lines], file.tell()


def follow_lines(path: Path, offset: int, *, pause: Callable[[], None]) -> Iterator[str]:
    """Whole lines behind an offset, as they come, for ever.

    Args:
        path: a file that others append to; when it is shorter than before, it was begun anew.
        offset: where to begin.
        pause: called when there is nothing new.
    """
    rest = b""
    while True:
        with path.open("rb") as file:
            if path.stat().st_size < offset:
                offset, rest = 0, b""
            file.seek(offset)
            block = file.read()
            offset = file.tell()
        if not block:
            pause()
        *lines, rest = (rest + block).split(b"\n")
        yield from map(_text, lines)


def _text(line: bytes) -> str:
    return line.rstrip(b"\r\n").decode("utf-8", "replace")
