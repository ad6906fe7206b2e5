"""What is asked of a recorder while it records: pauses, and looks into chosen steps."""

from __future__ import annotations

import sys
import threading
import time

import pytest
import torch
from torch import nn

from clary.formats.files import write_json
from clary.formats.profiler_configuration import ProfilerConfiguration, StepWindow
from clary.formats.timeline import PHASES, Mode
from clary.formats.timeline.reader import Timeline
from clary.profiler.recording import chosen_steps, timeline_thread
from clary.profiler.recording.step_recorder import StepRecorder
from tests.waiting import PATIENCE_S

FUNCTIONS = ProfilerConfiguration(functions=StepWindow(first=2, steps=50))
OPERATORS = ProfilerConfiguration(operators=StepWindow(first=2, steps=50))


@pytest.fixture(autouse=True)
def looks_often(monkeypatch):
    monkeypatch.setattr(timeline_thread, "SECONDS_BETWEEN_LOOKS", 0.05)
    monkeypatch.setattr(timeline_thread, "SECONDS_BETWEEN_WRITES", 0.05)


def worker_of(folder):
    timeline = Timeline(folder)
    timeline.refresh()
    (worker,) = timeline.workers.values()
    return worker


def step(recorder, mode=None):
    """One whose mode is known when it is over."""
    recorder.begin_step()
    time.sleep(0.021)
    recorder.end_step(mode)


def steps_until(recorder, holds):
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline, "it did not come about"
        step(recorder)


@pytest.mark.parametrize("asked", [FUNCTIONS, OPERATORS])
def test_switching_off_ends_a_look_and_the_pause_is_no_step(tmp_path, asked):
    def looking():
        return sys.getprofile() is not None or torch.autograd._profiler_enabled()

    file = tmp_path / "profilerconfig.json"
    write_json(file, asked.as_request())
    recorder = StepRecorder(tmp_path, configuration=asked, configuration_file=file)
    steps_until(recorder, looking)
    write_json(file, {"DisableProfiler": True})
    steps_until(recorder, lambda: not looking())
    before = recorder.steps()
    pause_s = 1.5
    paused_until = time.monotonic() + pause_s
    steps_until(recorder, lambda: time.monotonic() > paused_until)
    assert recorder.steps() == before
    write_json(file, {})
    steps_until(recorder, lambda: recorder.steps() > before + 2)
    recorder.close()
    worker = worker_of(tmp_path)
    assert worker.failures == ()
    steps = worker.steps()
    assert len(steps) == before + 3
    gaps = steps["start_us"][1:] - steps["start_us"][:-1] - steps["seconds"][:-1] * 1e6
    assert gaps[before - 1] >= pause_s * 1e6
    assert len(worker.functions) + len(worker.operators) == 1


def test_a_failure_ends_a_look(tmp_path):
    recorder = StepRecorder(tmp_path, configuration=FUNCTIONS)
    steps_until(recorder, lambda: sys.getprofile() is not None)
    recorder.begin_step()
    recorder.phase_started("lunch")
    assert sys.getprofile() is None
    recorder.close()


def test_who_lets_go_on_another_thread_ends_the_look_on_the_trainings(tmp_path):
    recorder = StepRecorder(tmp_path, configuration=FUNCTIONS)
    steps_until(recorder, lambda: sys.getprofile() is not None)
    other = threading.Thread(target=recorder.let_go)
    other.start()
    other.join()
    recorder.begin_step()
    assert sys.getprofile() is None
    assert not recorder.step_is_open
    recorder.close()


def test_an_evaluation_begins_no_look_for_each_of_its_batches(tmp_path):
    recorder = StepRecorder(
        tmp_path, configuration=ProfilerConfiguration(functions=StepWindow(first=3, steps=2))
    )
    for _ in range(2):
        for _ in range(3):
            step(recorder)
        for _ in range(20):
            step(recorder, Mode.EVAL)
    recorder.close()
    worker = worker_of(tmp_path)
    begun = [one for one in worker.spans if one.label == "looking at functions begins"]
    # One behind the third step, which was an evaluation's, and one in the second epoch.
    assert len(begun) == 2
    assert [(one.first, one.last) for one in worker.functions] == [(4, 4)]


@pytest.mark.parametrize(("steps", "trials"), [(50, chosen_steps.MOST_TRIALS), (2, 2)])
def test_a_loop_that_always_evaluates_is_not_tried_for_ever(tmp_path, steps, trials):
    recorder = StepRecorder(
        tmp_path, configuration=ProfilerConfiguration(functions=StepWindow(first=1, steps=steps))
    )
    for _ in range(10):
        step(recorder)
        step(recorder, Mode.EVAL)
    recorder.close()
    worker = worker_of(tmp_path)
    begun = [one for one in worker.spans if one.label == "looking at functions begins"]
    assert len(begun) == trials
    (failure,) = worker.failures
    assert "functions are not recorded" in failure


def test_a_step_between_evaluations_is_looked_into_where_modes_are_told_early(tmp_path):
    recorder = StepRecorder(
        tmp_path, configuration=ProfilerConfiguration(functions=StepWindow(first=2, steps=1))
    )
    for _ in range(4):
        for mode in (Mode.TRAIN, Mode.EVAL):
            recorder.begin_step(mode)
            time.sleep(0.021)
    recorder.close()
    assert [(one.first, one.last) for one in worker_of(tmp_path).functions] == [(2, 2)]


def test_the_end_of_a_look_is_no_part_of_the_next_step(tmp_path):
    recorder = StepRecorder(
        tmp_path, configuration=ProfilerConfiguration(operators=StepWindow(first=2, steps=2))
    )
    layers = nn.Sequential(*[nn.Linear(4, 4) for _ in range(300)])
    for _ in range(6):
        # As scripts are watched: the moment is taken before the step is ended.
        now = time.perf_counter_ns()
        recorder.end_step(Mode.TRAIN, at_ns=now)
        recorder.begin_step(at_ns=now)
        recorder.phase_started("data", at_ns=now)
        recorder.phase_ended()
        for _ in range(5):
            layers(torch.randn(2, 4)).sum().backward()
    recorder.close()
    worker = worker_of(tmp_path)
    (end,) = [one for one in worker.spans if one.label == "looking at operators ends"]
    steps = worker.steps()
    (after,) = steps[steps["step"] == 4]
    assert after["start_us"] >= end.end_us - 1
    assert after["phases_s"][PHASES.index("data")] < (end.end_us - end.start_us) / 1e6


def test_a_choice_that_changes_while_a_look_begins_does_not_lose_it(tmp_path, monkeypatch):
    file = tmp_path / "profilerconfig.json"
    write_json(file, FUNCTIONS.as_request())
    recorder = StepRecorder(tmp_path, configuration=FUNCTIONS, configuration_file=file)
    slow = chosen_steps.LOOKS["functions"]

    class Slow(slow):
        def start(self):
            write_json(file, {"ProfilingIntervalInMilliseconds": 1000})
            time.sleep(0.5)  # the thread that writes has read it
            return super().start()

    monkeypatch.setitem(chosen_steps.LOOKS, "functions", Slow)
    steps_until(recorder, lambda: recorder.steps() >= 5)
    recorder.close()
    assert sys.getprofile() is None
    assert len(worker_of(tmp_path).functions) == 1
