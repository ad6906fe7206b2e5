"""A job program ends with one sentence and an exit code, in a real process."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import pytest

from tests.waiting import PATIENCE_S

PROGRAM = """
import sys, time
from clary.errors import DataError, Interrupted
from clary.jobs.program import ProgramParser, run_program

def main(arguments):
    parser = ProgramParser("example")
    parser.add_argument("what")
    parser.add_argument("--count", type=int, default=0)
    what = parser.parse_args(arguments).what
    if what == "data":
        raise DataError("photos/ is empty: put pictures in it")
    if what == "interrupted":
        raise Interrupted("stopped at step 3; run again to resume")
    if what == "sleep":
        print("ready", flush=True)
        time.sleep(60)
    if what == "talk":
        for number in range(100_000):
            print(number)
    if what == "bug":
        raise ZeroDivisionError
    return 7

run_program(main)
"""


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments], capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    ("what", "code", "sentence"),
    [
        ("well", 7, ""),
        ("data", 1, "clary: photos/ is empty: put pictures in it\n"),
        ("interrupted", 130, "clary: stopped at step 3; run again to resume\n"),
    ],
)
def test_the_end_is_one_sentence_and_an_exit_code(what: str, code: int, sentence: str) -> None:
    ended = run(what)
    assert (ended.returncode, ended.stderr, ended.stdout) == (code, sentence, "")


def test_wrong_arguments_are_a_usage_error() -> None:
    ended = run("well", "--count", "many")
    assert ended.returncode == 2
    assert ended.stderr.startswith("clary: argument --count: invalid int value: 'many'")
    assert ended.stderr.count("\n") == 1


def test_abbreviations_are_not_guessed() -> None:
    assert run("well", "--cou", "3").returncode == 2


def test_a_bug_keeps_its_traceback() -> None:
    ended = run("bug")
    assert ended.returncode == 1
    assert "ZeroDivisionError" in ended.stderr


def test_ctrl_c_is_clean() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "sleep"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, errors) == (130, "clary: stopped\n")


def test_a_reader_that_leaves_is_no_error() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "talk"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "0\n"
        process.stdout.close()
        assert process.stderr is not None
        errors = process.stderr.read()
    assert (process.returncode, errors) == (141, "")
