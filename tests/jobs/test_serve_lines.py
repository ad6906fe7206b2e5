"""The lines of a server, whose reader is gone, or slow."""

from __future__ import annotations

import asyncio
import os
import sys

import pytest

from clary.jobs.serve.line_writer import LineWriter


def test_lines_are_not_kept_for_a_reader_who_is_gone(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as out:
        monkeypatch.setattr(sys, "stdout", out)

        async def talk() -> int:
            lines = LineWriter(asyncio.get_running_loop())
            for _ in range(5):
                for _ in range(600):
                    lines.say("a line")
                await asyncio.sleep(0.15)
            left = len(lines._lines)
            lines.close()
            return left

        assert asyncio.run(talk()) == 0
        monkeypatch.undo()
        os.dup2(os.open(os.devnull, os.O_WRONLY), out.fileno())
    assert capfd.readouterr().err.count("lines are written no more") == 1


def test_a_slow_reader_stops_nobody_and_gets_all(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    monkeypatch.setattr(sys, "stdout", os.fdopen(writing, "w"))

    async def talk() -> LineWriter:
        lines = LineWriter(asyncio.get_running_loop())
        for number in range(30):
            for _ in range(100):
                lines.say("x" * 99)
            lines.say(str(number))
            await asyncio.sleep(0.02)
        return lines

    lines = asyncio.run(talk())  # would never end if the loop wrote into the full pipe
    lines._hand_over()
    got = b""
    while b"\n29\n" not in got:
        got += os.read(reading, 1 << 16)
    assert [line for line in got.split(b"\n") if len(line) < 99 and line] == [
        str(number).encode() for number in range(30)
    ]
    sys.stdout.close()
    os.close(reading)
