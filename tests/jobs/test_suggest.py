"""The program that asks a Gaussian process, as the service runs it."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import psutil
import pytest

from clary.errors import SpaceExhausted
from clary.tuner.exchange import Question, read_answer, write_question
from clary.tuner.ranges import CategoricalRange, Space, parse_range
from clary.tuner.search import Search, suggest
from clary.tuner.trials import Trial
from tests.waiting import until

SPACE = Space(
    (
        parse_range("lr=1e-4..1e-1:log"),
        parse_range("batch_size=16,32,64"),
        parse_range("epochs=2..10"),
    )
)


def ask(question: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "clary.jobs.suggest"],
        input=question,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )


def a_history(search: Search, count: int) -> list[Trial]:
    """Trials of which one has failed and the last still runs."""
    trials: list[Trial] = []
    for number in range(1, count + 1):
        values = suggest(search, trials, number)
        lr, epochs = values["lr"], values["epochs"]
        assert not isinstance(lr, str)
        assert not isinstance(epochs, str)
        figure = abs(lr - 0.01) * epochs
        state = "running" if number == count else "failed" if number == 3 else "succeeded"
        trials.append(
            Trial(number, values, state, figure if state == "succeeded" else None)  # type: ignore[arg-type]
        )
    return trials


def test_it_answers_as_suggest_does_and_says_nothing_else() -> None:
    search = Search(SPACE, "Bayesian", "Minimize", 3)
    trials = a_history(search, 8)
    done = ask(write_question(Question(search, trials, 9)))
    assert (done.returncode, done.stderr) == (0, "")
    values = read_answer(done.stdout)
    assert SPACE.contains(values)
    assert values == suggest(search, trials, 9, engine="gp")
    assert values not in [dict(trial.parameters) for trial in trials]


def test_a_space_without_anything_left_is_an_answer() -> None:
    space = Space((CategoricalRange("optimizer", ("sgd",)),))
    trials = [Trial(1, {"optimizer": "sgd"}, "running")]
    done = ask(write_question(Question(Search(space, "Bayesian", "Minimize", 0), trials, 2)))
    assert (done.returncode, done.stderr) == (0, "")
    with pytest.raises(SpaceExhausted, match="all 1 combinations"):
        read_answer(done.stdout)


def test_what_is_no_question_is_said_in_one_sentence() -> None:
    done = ask("?")
    assert done.returncode == 1
    assert done.stdout == ""
    assert "the question cannot be read" in done.stderr
    assert "Traceback" not in done.stderr


BEGIN_AND_WAIT = """
import os, subprocess, sys, time
command = [sys.executable, "-m", "clary.jobs.suggest", "--parent", str(os.getpid())]
print(subprocess.Popen(command).pid, flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize("meanwhile_s", [0.0, 1.0], ids=["at once", "later"])
def test_it_ends_with_the_process_that_asked(meanwhile_s: float) -> None:
    question, never = os.pipe()
    try:
        service = subprocess.Popen(
            [sys.executable, "-c", BEGIN_AND_WAIT], stdin=question, stdout=subprocess.PIPE
        )
        assert service.stdout is not None
        with service, service.stdout as said:
            program = psutil.Process(int(said.readline()))
            time.sleep(meanwhile_s)
            assert program.is_running()
            service.kill()
        # It still waits for its question: nothing but the service's end can have ended it.
        until(lambda: not program.is_running() or program.status() == psutil.STATUS_ZOMBIE)
    finally:
        os.close(question)
        os.close(never)
