"""Job programs share the terminal, their exit codes come back, and signals reach them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from clary.errors import Interrupted
from clary.sdk.processes import (
    output_of,
    program_failure,
    run_job_program,
    run_program,
    start_quietly,
)
from tests.waiting import PATIENCE_S

# The parent as the command line is one: it runs the child below and ends with its code.
# Under nohup it would inherit an ignored SIGHUP.
PARENT = """
import signal, sys
from clary.sdk.processes import run_program
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
end = run_program([sys.executable, "-c", sys.argv[1]])
print(end.exit_code, end.killed_by, end.stopped, flush=True)
sys.exit(end.exit_code)
"""

CHILD = """
import signal, sys, time
def stop(number, frame):
    print("child got", signal.Signals(number).name, flush=True)
    sys.exit(128 + number)
for name in ("SIGINT", "SIGTERM", "SIGHUP"):
    signal.signal(getattr(signal, name), stop)
print("ready", flush=True)
for _ in range(600):  # a signal just before a sleep is seen after it
    time.sleep(0.1)
"""


def test_the_exit_code_comes_back() -> None:
    end = run_program([sys.executable, "-c", "raise SystemExit(7)"])
    assert (end.exit_code, end.killed_by, end.stopped, end.reason) == (7, None, False, None)


def test_a_killed_program_is_named() -> None:
    end = run_program([sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"])
    assert (end.exit_code, end.killed_by, end.stopped) == (137, signal.SIGKILL, False)
    assert end.reason is not None
    assert "killed by SIGKILL" in end.reason
    assert "memory" in end.reason


def test_the_streams_are_shared() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", PARENT, "import sys; print(sys.stdin.read().upper())"],
        input="pictures",
        capture_output=True,
        text=True,
        check=True,
    )
    assert ended.stdout == "PICTURES\n0 None False\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_to_the_parent_alone_reaches_the_child_once(number: signal.Signals) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, CHILD],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # without a terminal that could have told the child itself
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        output, errors = process.communicate(timeout=PATIENCE_S)
    assert output == f"child got {number.name}\n{128 + number} None True\n"
    assert (process.returncode, errors) == (128 + number, "")


def test_ctrl_c_in_a_terminal_reaches_the_child_once() -> None:
    pid, terminal = os.forkpty()
    if pid == 0:
        os.execv(sys.executable, [sys.executable, "-c", PARENT, CHILD])
    shown = b""
    try:
        while b"ready" not in shown:
            shown += os.read(terminal, 1024)
        time.sleep(0.1)
        os.write(terminal, b"\x03")
        while b"True" not in shown:
            shown += os.read(terminal, 1024)
    finally:
        _, status = os.waitpid(pid, 0)
        os.close(terminal)
    assert os.waitstatus_to_exitcode(status) == 130
    assert shown.count(b"child got SIGINT") == 1


def test_what_a_quiet_program_says_comes_back() -> None:
    code = "import os, sys; print(os.environ['WORD']); print('no', file=sys.stderr)"
    environment = {**os.environ, "WORD": "yes"}
    with start_quietly([sys.executable, "-c", code], environment) as process:
        assert output_of(process, "it ran") == ("yes\n", "no\n")
    assert process.returncode == 0


def test_a_quiet_program_that_nobody_wants_any_more_is_ended() -> None:
    with (
        start_quietly([sys.executable, "-c", "import time; time.sleep(600)"]) as process,
        pytest.raises(Interrupted, match="stopped while it slept"),
    ):
        output_of(process, "it slept", stopped=lambda: True)
    assert process.returncode == -signal.SIGTERM


@pytest.mark.parametrize(
    ("code", "said", "sentence", "exit_code"),
    [
        (2, "a bar\nclary: --lr is 0\nclary: --epochs is 0\n", "--lr is 0\n--epochs is 0", 2),
        (-9, "", "the program check was killed by SIGKILL", 137),
        (
            1,
            "Traceback\n\nKeyError: 3\n",
            "the program check ended with exit code 1: KeyError: 3",
            1,
        ),
        (1, " \n", "the program check ended with exit code 1: it does not say why", 1),
    ],
    ids=("its own sentences", "killed", "a bug", "silent"),
)
def test_a_quiet_program_fails_by_its_own_words(
    code: int, said: str, sentence: str, exit_code: int
) -> None:
    error = program_failure("check", code, said)
    assert (str(error), error.exit_code) == (sentence, exit_code)


@pytest.mark.skipif(sys.version_info < (3, 11), reason="PYTHONSAFEPATH came with Python 3.11")
def test_modules_in_the_current_folder_do_not_take_the_place_of_others(tmp_path, monkeypatch):
    (tmp_path / "random.py").write_text("raise SystemExit(77)")
    (tmp_path / "numpy.py").write_text("raise SystemExit(77)")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PYTHONSAFEPATH", raising=False)
    assert run_job_program("check", ["digits", "--quick", "--json"]) == 0
