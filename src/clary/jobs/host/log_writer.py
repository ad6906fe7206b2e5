"""What a program prints, as lines with their time."""

from __future__ import annotations

import os
from collections import deque
from pathlib import Path

from clary import clock
from clary.formats.log_file import cut_text, encode_events

_KEPT_LINES = 400


class LogWriter:
    """Appends to one log file. Owned by the host process; not thread-safe.

    A disk that is full costs lines, not the job: they are counted, and the count is written as
    soon as there is room. `tail` holds the last lines, for the reason of a failure.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        self._rest = b""
        self._lost = 0
        self.tail: deque[str] = deque(maxlen=_KEPT_LINES)

    def say(self, line: str) -> None:
        """Write a line of Clary's own."""
        self._append([line])

    def feed(self, block: bytes) -> None:
        """Take what the program has printed; a line is written when its newline has come."""
        *lines, self._rest = (self._rest + block).split(b"\n")
        *pieces, self._rest = cut_text(self._rest)
        lines += pieces
        if lines:
            self._append([_text(line) for line in lines])

    def close(self) -> None:
        """Write what is left without a newline."""
        if self._rest:
            self._append([_text(self._rest)])
            self._rest = b""
        os.close(self._handle)

    def _append(self, lines: list[str]) -> None:
        self.tail.extend(lines)
        now = clock.now_ms()
        if self._lost:
            lines = [f"clary: {self._lost} lines are missing here: the disk was full", *lines]
        content = encode_events((now, line) for line in lines)
        size = os.fstat(self._handle).st_size
        written = 0
        try:
            while written < len(content):
                written += os.write(self._handle, memoryview(content)[written:])
        except OSError:
            whole = content.rfind(b"\n", 0, written) + 1
            os.ftruncate(self._handle, size + whole)
            missing = content.count(b"\n", whole)
            if whole:  # the line that told of earlier ones is there
                self._lost = 0
            self._lost += missing - bool(self._lost)
        else:
            self._lost = 0


def _text(line: bytes) -> str:
    return line.rstrip(b"\r").decode("utf-8", "replace")
