from __future__ import annotations

import io
import subprocess
import sys

import pytest

from clary.jobs.live_progress import LiveProgress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def put_in_place_of_stderr(monkeypatch: pytest.MonkeyPatch, stream: io.StringIO) -> None:
    # Not in a fixture: pytest sets its own stderr again before each test.
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")


def test_a_terminal_shows_what_is_done_and_of_how_much(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    put_in_place_of_stderr(monkeypatch, terminal)
    with LiveProgress() as progress:
        progress("unpacking a.zip", 3, None)
        progress("decoding pictures", 7, 20)
    shown = terminal.getvalue()
    assert "unpacking a.zip" in shown and "3/?" in shown
    assert "decoding pictures" in shown and "7/20" in shown


def test_a_process_beside_the_main_one_and_a_log_show_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    terminal = Terminal()
    put_in_place_of_stderr(monkeypatch, terminal)
    with LiveProgress(shown=False) as progress:
        progress("decoding pictures", 7, 20)
    assert terminal.getvalue() == ""
    log = io.StringIO()
    put_in_place_of_stderr(monkeypatch, log)
    with LiveProgress() as progress:
        progress("decoding pictures", 7, 20)
    assert log.getvalue() == ""


def test_it_does_without_torch() -> None:
    program = "import sys, clary.jobs.live_progress; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
