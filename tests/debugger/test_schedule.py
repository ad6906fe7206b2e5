"""Schedules are SageMaker's save semantics."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clary.debugger import Mode, Schedule, Window
from clary.errors import UsageError

STEPS = st.integers(0, 60)


@given(
    interval=st.integers(1, 20),
    start=STEPS,
    end=st.none() | STEPS,
    steps=st.frozensets(STEPS, max_size=4),
    step=STEPS,
)
def test_a_step_is_due_by_the_published_formula(interval, start, end, steps, step):
    expected = (
        start <= step < (10**9 if end is None else end) and step % interval == 0
    ) or step in steps
    assert Schedule(interval, start, end, steps).due(Mode.TRAIN, step) == expected


def test_what_a_mode_says_itself_beats_what_holds_for_all():
    schedule = Schedule().changed({"save_interval": "10", "train.save_interval": "3"})
    assert [step for step in range(12) if schedule.due(Mode.TRAIN, step)] == [0, 3, 6, 9]
    assert [step for step in range(12) if schedule.due(Mode.EVAL, step)] == [0, 10]


def test_a_collection_inherits_what_it_does_not_say():
    hook = Schedule().changed({"save_interval": "10", "eval.start_step": "5"})
    collection = hook.changed({"end_step": "25", "save_steps": "1, 2"})
    assert collection.window(Mode.TRAIN) == Window(10, 0, 25, frozenset({1, 2}))
    assert collection.window(Mode.EVAL) == Window(10, 5, 25, frozenset({1, 2}))


@pytest.mark.parametrize(
    "bounds",
    [{"end": -3}, {"steps": {"a"}}, {"steps": {-1}}, {"interval": 0}, {"start": 1.5}],
)
@pytest.mark.parametrize("kind", [Schedule, Window])
def test_bounds_that_are_no_number_of_steps_are_refused_by_name(kind, bounds):
    (name,) = bounds
    with pytest.raises(UsageError, match=name):
        kind(**bounds)


@pytest.mark.parametrize("modes", [{Mode.TRAIN: None}, {"train": Window()}])
def test_modes_have_windows(modes):
    with pytest.raises(UsageError, match="Window"):
        Schedule(modes=modes)


@pytest.mark.parametrize(
    "parameters",
    [{"save_interval": "0"}, {"save_interval": "often"}, {"save_steps": "1,x"}, {"end_step": "-1"}],
)
def test_what_is_no_number_of_steps_is_refused_by_name(parameters):
    (name,) = parameters
    with pytest.raises(UsageError, match=name):
        Schedule().changed(parameters)
