"""Who answers what to try next: the service itself, or a process that may import torch."""

from __future__ import annotations

import logging
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from clary.formats.builtin_algorithm import IMAGE
from clary.service.state.state import State
from clary.service.supervisor.tuning import suggesting
from clary.service.supervisor.tuning.beginning import Beginner
from clary.service.supervisor.tuning.definitions import read_definitions
from clary.service.supervisor.tuning.observing import SeenTrial
from clary.service.supervisor.tuning.suggesting import Suggester
from clary.tuner.ranges import ContinuousRange, Space
from clary.tuner.search import Search
from clary.tuner.trials import Trial
from tests.service.supervisor.tuning.conftest import (
    OBJECTIVE,
    X,
    new_tuning_job,
    training_definition,
)

ASK = """
import sys
from clary.service.supervisor.tuning.suggesting import Suggester
from clary.tuner.ranges import ContinuousRange, Space
from clary.tuner.search import Search
from clary.tuner.trials import Trial

search = Search(Space((ContinuousRange("x", 0, 10),)), "Bayesian", "Minimize", seed=1)
trials = [Trial(n, {"x": float(n)}, "succeeded", (n - 3.3) ** 2) for n in range(1, 11)]
suggester = Suggester()
chosen = suggester.next_parameters(search, trials, [], seconds_per_trial=float(sys.argv[1]))
again = suggester.next_parameters(search, trials, [], seconds_per_trial=float(sys.argv[1]))
# A Gaussian process is fitted in another process each time, and rounds as its memory lies.
assert abs(chosen["x"] - again["x"]) < 1e-3, (chosen, again)
print(chosen["x"], "torch" in sys.modules)
"""


@pytest.mark.parametrize("seconds_per_trial", [1, 600], ids=["quick trials", "costly trials"])
def test_torch_never_comes_into_the_service(seconds_per_trial: int) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", ASK, str(seconds_per_trial)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    x, torch = done.stdout.split()
    assert 0 <= float(x) <= 10
    assert torch == "False"
    if seconds_per_trial == 600:
        # On a parabola, a Gaussian process is not far off.
        assert abs(float(x) - 3.3) < 2


class Program:
    """A program in the place of the Gaussian process's, which notes that it was asked."""

    def __init__(self, folder: Path, ending: str) -> None:
        self._asked = folder / "asked"
        self.path = folder / "program"
        self.path.write_text(f"#!/bin/sh\necho asked >> {self._asked}\n{ending}\n")
        self.path.chmod(0o755)

    @property
    def asked(self) -> int:
        return len(self._asked.read_text().split()) if self._asked.exists() else 0


@pytest.mark.parametrize("ending", ["exec sleep 600", "exit 1", "echo no answer"])
def test_a_gaussian_process_that_failed_is_not_asked_again(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    ending: str,
) -> None:
    program = Program(tmp_path, ending)
    monkeypatch.setattr(sys, "executable", str(program.path))
    monkeypatch.setattr(suggesting, "_GAUSSIAN_PROCESS_S", 3.0)
    space = Space((ContinuousRange("x", 0, 10),))
    search = Search(space, "Bayesian", "Minimize", seed=1)
    trials = [Trial(n, {"x": float(n)}, "succeeded", (n - 3.3) ** 2) for n in range(1, 11)]
    suggester = Suggester()
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            assert space.contains(suggester.next_parameters(search, trials, [], 600.0))
    assert program.asked == 1
    assert len(caplog.records) == 1
    assert "TPE suggests from now on" in caplog.text


def seen(number: int, seconds: float, status: str = "Completed", of: str | None = None) -> Any:
    trial = Trial(number, {"x": number / 100}, "succeeded", (number - 20) ** 2)
    return SeenTrial(f"any-{number}", of, status, trial, seconds)


FOUR = [seen(number, 100.0) for number in (1, 2, 3, 4)]
LANE = {"TrainingImage": IMAGE, "TrainingInputMode": "File"}


@pytest.mark.parametrize(
    ("before", "definition", "asked"),
    [
        (FOUR, {}, True),
        ([*FOUR, seen(5, 1.0, "Stopped")], {}, True),
        ([*FOUR, seen(5, 1.0)], {}, True),
        ([seen(number, 1.0) for number in (1, 2, 3)] + [seen(4, 100.0)], {}, False),
        ([seen(number, 100.0, "Stopped") for number in (1, 2, 3, 4)], {}, False),
        (FOUR, {"AlgorithmSpecification": LANE}, False),
        ([*FOUR, seen(5, 1.0)], {"AlgorithmSpecification": LANE}, False),
        ([*FOUR, seen(5, 100.0)], {"AlgorithmSpecification": LANE}, True),
    ],
    ids=[
        "costly",
        "one cut off",
        "one quick",
        "quick but one",
        "all cut off",
        "in one process, none after the first",
        "in one process, quick after the first",
        "in one process, costly after the first",
    ],
)
def test_completed_trials_say_what_the_next_one_costs(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    before: list[SeenTrial],
    definition: dict[str, Any],
    asked: bool,
) -> None:
    program = Program(tmp_path, "exit 1")
    monkeypatch.setattr(sys, "executable", str(program.path))
    job = new_tuning_job("any", trials=20, parallel=4, Strategy="Bayesian")
    static = {"StaticHyperParameters": {"trainable_layers": "0"}}
    job.request["TrainingJobDefinition"] = training_definition(**static, **definition)
    begin_one(tmp_path, replace(job, trials=len(before)), before)
    assert bool(program.asked) == asked


def test_trials_of_other_definitions_do_not_say_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = Program(tmp_path, "exit 1")
    monkeypatch.setattr(sys, "executable", str(program.path))
    definitions = [
        training_definition(DefinitionName=name, TuningObjective=OBJECTIVE, HyperParameterRanges=X)
        for name in ("quick", "costly")
    ]
    job = new_tuning_job("any", trials=20, definitions=definitions, Strategy="Bayesian")
    before = [seen(number, 1.0, of="quick") for number in range(1, 10)]
    before += [seen(number, 100.0, of="costly") for number in range(10, 15)]
    begin_one(tmp_path, replace(job, trials=len(before)), before)
    assert program.asked == 1


def begin_one(folder: Path, job: Any, before: list[SeenTrial]) -> None:
    state = State(folder / "state.sqlite")
    try:
        state.create_tuning_job(job, {})
        (stored,) = state.tuning_jobs.select()
        definitions = read_definitions(stored.request, seed=1)
        Beginner(state, stored, definitions, began=lambda: None).begin(before, 1)
        (trial,) = state.training_jobs.trials_of(stored.number)
        assert trial.trial is not None
        assert trial.trial.number == len(before) + 1
    finally:
        state.close()
