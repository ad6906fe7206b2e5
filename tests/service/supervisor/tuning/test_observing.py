"""What the tuner sees of trials, parents' among them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from clary.service.state.state import State
from clary.service.state.training_jobs import FinalMetric
from clary.service.state.trials import Emission
from clary.service.state.tuning_jobs import TuningJob
from clary.service.supervisor.tuning.children import new_trial
from clary.service.supervisor.tuning.definitions import Definition, read_definitions
from clary.service.supervisor.tuning.observing import TrialObserver, read_parents
from tests.service.supervisor.tuning.conftest import new_tuning_job


class Past:
    """A tuning job whose trials a test moves by hand."""

    def __init__(self, state: State) -> None:
        self.state = state
        state.create_tuning_job(new_tuning_job("past", trials=9), {})
        (self.job,) = state.tuning_jobs.select()
        (self.definition,) = read_definitions(self.job.request, seed=1)

    def begin(self, number: int) -> None:
        trial = new_trial(self.job, self.definition, number, {"x": f"0.{number}"}, number)

        def count(job: TuningJob) -> TuningJob:
            return replace(job, trials=number)

        assert self.state.begin_trial("past", count, trial, {})

    def emit(self, number: int, *values: float) -> None:
        emissions = [Emission("algo-1", value) for value in values]
        self.state.record_logs(self.name(number), lambda job: job, [], [], emissions)

    def end(self, number: int, metric: FinalMetric) -> None:
        self.state.training_jobs.change(
            self.name(number),
            lambda job: replace(
                job, status="Completed", secondary="Completed", final_metrics={"loss": metric}
            ),
        )

    def name(self, number: int) -> str:
        return self.state.training_jobs.trials_of(self.job.number)[number - 1].name


@pytest.fixture
def past(tmp_path: Path) -> Iterator[Past]:
    state = State(tmp_path / "state.sqlite")
    yield Past(state)
    state.close()


def test_parents_bring_their_curves(past: Past) -> None:
    for number in (1, 2):
        past.begin(number)
    past.emit(1, 0.5, 0.3)
    past.emit(2, 0.6, math.nan)
    past.end(1, FinalMetric(0.3, 1))
    past.end(2, FinalMetric(0.6, 1, diverged=True))
    first, second = read_parents(past.state, [past.job.number], past.definition, alone=True)
    assert (first.state, first.value, first.curve) == ("succeeded", 0.3, (0.5, 0.3))
    assert first.parameters == {"x": 0.1}
    assert (second.state, second.value) == ("failed", None)
    assert second.curve[0] == 0.6
    assert math.isnan(second.curve[1])


def observer(past: Past, definition: Definition) -> TrialObserver:
    return TrialObserver(past.state, past.job.number, [definition], curves=True)


def test_what_has_ended_is_read_once_whatever_still_runs(past: Past) -> None:
    for number in range(1, 6):
        past.begin(number)
    looking = observer(past, past.definition)
    looking.look()
    past.emit(1, 0.9)
    for number in range(2, 6):
        past.emit(number, 0.5)
        past.end(number, FinalMetric(0.5, 1))
    seen = looking.look()
    assert [one.trial.curve for one in seen] == [(0.9,), *[(0.5,)] * 4]
    past.emit(1, 0.8)
    again = looking.look()
    assert again[0].trial.curve == (0.9, 0.8)
    assert all(one is other for one, other in zip(seen[1:], again[1:], strict=True))


def test_a_new_observer_sees_the_same(past: Past) -> None:
    for number in range(1, 4):
        past.begin(number)
        past.emit(number, 0.5, 0.4)
    past.end(2, FinalMetric(0.4, 1))
    first = observer(past, past.definition)
    first.look()
    past.emit(1, 0.3)
    assert first.look() == observer(past, past.definition).look()
