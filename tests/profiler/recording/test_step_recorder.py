"""A recorder of steps, by itself: what it keeps, merges, times on a device, and survives."""

from __future__ import annotations

import math
import os
import signal
import time

import numpy as np
import pytest

from clary.formats.profiler_configuration import ProfilerConfiguration, StepWindow
from clary.formats.timeline import PHASES, Mode
from clary.formats.timeline.reader import Timeline
from clary.profiler.recording.claims import claim_worker, release_worker
from clary.profiler.recording.device_times import DeviceTimes
from clary.profiler.recording.step_recorder import StepRecorder


def recorded(folder):
    timeline = Timeline(folder)
    timeline.refresh()
    (worker,) = timeline.workers.values()
    return worker


def test_phases_nest_and_short_steps_are_merged_while_long_ones_are_not(tmp_path):
    recorder = StepRecorder(tmp_path, batch_size=4)
    for number in range(200):
        recorder.begin_step()
        recorder.add_pictures(4)
        with recorder.phase("optimizer"), recorder.phase("backward"):
            if number == 100:
                time.sleep(0.3)
    recorder.close()
    recorder.close()
    worker = recorded(tmp_path)
    steps = worker.steps()
    assert worker.failures == ()
    assert steps["merged"].sum() == 200
    assert steps["pictures"].sum() == 800
    assert len(steps) < 150
    (slow,) = steps[steps["longest_s"] >= 0.3]
    assert (slow["merged"], slow["step"]) == (1, 100)
    backward, optimizer = PHASES.index("backward"), PHASES.index("optimizer")
    assert slow["phases_s"][backward] >= 0.3 > slow["phases_s"][optimizer]
    assert np.isnan(steps["phases_s"][:, PHASES.index("data")]).all()
    assert np.isnan(steps["device_s"]).all()
    assert worker.facts.batch_size == 4
    assert worker.facts.ended_us is not None
    assert 0 < worker.facts.overhead_s < 5


def test_a_mode_that_is_known_late_counts_by_itself(tmp_path):
    recorder = StepRecorder(tmp_path)
    at_ns = time.perf_counter_ns()
    for mode in (Mode.TRAIN, Mode.EVAL, Mode.EVAL, Mode.TRAIN):
        recorder.begin_step(at_ns=at_ns)
        recorder.end_step(mode, at_ns=(at_ns := at_ns + 1_000_000))
    recorder.begin_step(at_ns=at_ns)
    recorder.cancel_step()
    assert (recorder.steps(Mode.TRAIN), recorder.steps(Mode.EVAL)) == (2, 2)
    recorder.close()
    worker = recorded(tmp_path)
    assert worker.steps(Mode.EVAL)["merged"].tolist() == [2]
    assert worker.steps(Mode.TRAIN)["step"].tolist() == [0, 1]


def test_a_failure_is_told_once_and_nothing_is_raised(tmp_path, capfd):
    recorder = StepRecorder(tmp_path)
    recorder.begin_step()
    recorder.phase_started("lunch")
    recorder.phase_started("lunch")
    recorder.begin_step()
    recorder.close()
    (failure,) = recorded(tmp_path).failures
    assert "KeyError: 'lunch'" in failure
    assert capfd.readouterr().err.count("unwatched") == 1


def test_a_fork_records_nothing_and_ends_nothing(tmp_path):
    recorder = StepRecorder(tmp_path)
    recorder.begin_step()
    child = os.fork()
    if not child:
        recorder.begin_step()
        recorder.close()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    recorder.close()
    assert recorded(tmp_path).steps()["merged"].sum() == 1


def test_a_second_process_of_a_name_takes_another_one(tmp_path):
    first = StepRecorder(tmp_path)
    first.begin_step()
    time.sleep(0.03)
    first.begin_step()
    while not (tmp_path / "timeline" / "worker_0" / "facts.json").exists():
        time.sleep(0.05)
    child = os.fork()
    if not child:
        second = StepRecorder(tmp_path)
        second.begin_step()
        second.close()
        os._exit(0)
    os.waitpid(child, 0)
    first.close()
    timeline = Timeline(tmp_path)
    timeline.refresh()
    assert sorted(timeline.workers) == ["worker_0", f"worker_0-{child}"]


class Ticks:
    """A device whose clock is a number, and which is so many marks behind its host."""

    def __init__(self, behind):
        self.behind = behind
        self.marks = 0
        self.capturing = False
        self.in_use = True

    def is_in_use(self):
        return self.in_use

    def is_capturing(self):
        return self.capturing

    def make_event(self):
        return Tick(self)


class Tick:
    def __init__(self, device):
        self.device = device
        self.at = math.inf

    def record(self):
        self.device.marks += 1
        self.at = self.device.marks

    def query(self):
        return self.at <= self.device.marks - self.device.behind

    def elapsed_time(self, later):
        return float(later.at - self.at)


def test_times_of_a_device_come_late_and_in_order():
    device, settled = Ticks(behind=5), []
    times = DeviceTimes(device, lambda step, seconds: settled.append((step, seconds)))
    for step in range(20):
        times.begin_step()
        for phase in (2, 3, -1):
            times.mark(phase)
        times.step_ended(step)
    assert [step for step, _ in settled] == list(range(18))
    for _, seconds in settled:
        assert seconds[2:4] == [0.001, 0.001]
        assert all(map(math.isnan, (*seconds[:2], seconds[4])))
    assert len(times._pool) <= 20
    times.close()
    # Of the last ones the device does not tell in time.
    assert [step for step, _ in settled] == list(range(20))
    assert math.isnan(settled[-1][1][2])


def test_a_device_that_captures_a_graph_is_not_marked(tmp_path):
    device = Ticks(behind=0)
    recorder = StepRecorder(tmp_path, device=device)
    for capturing in (False, True, False):
        device.capturing = capturing
        recorder.begin_step()
        with recorder.phase("forward"):
            time.sleep(0.03)
    recorder.close()
    assert np.isfinite(recorded(tmp_path).steps()["device_s"][:, 2]).tolist() == [
        True,
        False,
        True,
    ]


def test_a_device_that_is_used_later_is_timed_later_and_merged_steps_add_up(tmp_path):
    device = Ticks(behind=0)
    device.in_use = False
    recorder = StepRecorder(tmp_path, device=device)
    recorder.begin_step()
    with recorder.phase("forward"):
        time.sleep(0.03)
    device.in_use = True
    for _ in range(10):
        recorder.begin_step()
        with recorder.phase("forward"):
            pass
    recorder.close()
    first, *others = recorded(tmp_path).steps()
    assert np.isnan(first["device_s"]).all()
    assert sum(one["device_s"][2] for one in others) == pytest.approx(0.01)


def test_windows_that_are_over_or_asked_for_later(tmp_path):
    recorder = StepRecorder(
        tmp_path, configuration=ProfilerConfiguration(functions=StepWindow(first=2, steps=2))
    )

    def steps(count):
        for _ in range(count):
            recorder.begin_step()
            sorted(range(100))

    steps(8)
    recorder._chosen.choose(ProfilerConfiguration(functions=StepWindow(first=3, steps=2)))
    steps(2)
    recorder._chosen.choose(ProfilerConfiguration(functions=StepWindow(steps=3)))
    steps(2)
    recorder._chosen.choose(
        ProfilerConfiguration(functions=StepWindow(first=13), functions_by="sampling")
    )
    steps(6)
    recorder.begin_step(Mode.EVAL)
    recorder.close()
    worker = recorded(tmp_path)
    assert worker.failures == ()
    assert [(one.first, one.last) for one in worker.functions] == [(2, 3), (10, 12), (13, 13)]


def test_processes_that_begin_together_take_names_of_their_own(tmp_path):
    begins_r, begins_w = os.pipe()
    children = []
    for _ in range(4):
        child = os.fork()
        if not child:
            os.close(begins_w)
            os.read(begins_r, 1)  # until all are there
            recorder = StepRecorder(tmp_path)
            for _ in range(10):
                recorder.begin_step()
                time.sleep(0.021)
            recorder.close()
            os._exit(0)
        children.append(child)
    os.close(begins_w)
    os.close(begins_r)
    for child in children:
        assert os.waitpid(child, 0)[1] == 0
    timeline = Timeline(tmp_path)
    timeline.refresh()
    assert len(timeline.workers) == 4
    for worker in timeline.workers.values():
        assert worker.steps()["merged"].sum() == 10
        assert worker.folder.name == worker.facts.worker
    assert not list(tmp_path.rglob(".*"))


def test_programs_that_follow_each_other_take_names_of_their_own(tmp_path):
    for _ in range(2):
        child = os.fork()
        if not child:
            recorder = StepRecorder(tmp_path)
            recorder.begin_step()
            recorder.close()
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
    timeline = Timeline(tmp_path)
    timeline.refresh()
    assert sorted(timeline.workers) == ["worker_0", f"worker_0-{child}"]


def test_a_name_is_free_when_its_process_was_killed(tmp_path):
    child = os.fork()
    if not child:
        claim_worker(tmp_path, "worker_0")
        time.sleep(60)
        os._exit(0)
    while not list(tmp_path.rglob(".owner")):
        time.sleep(0.02)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    recorder = StepRecorder(tmp_path)
    recorder.begin_step()
    recorder.close()
    assert recorder.worker == "worker_0"


def test_a_claim_stays_what_it_was_until_it_is_given_back(tmp_path):
    assert claim_worker(tmp_path, "worker_0") == "worker_0"
    child = os.fork()
    if not child:
        own = f"worker_0-{os.getpid()}"
        for _ in range(2):
            assert claim_worker(tmp_path, "worker_0") == own
        release_worker(tmp_path, "worker_0")
        assert claim_worker(tmp_path, "worker_0") == own
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert claim_worker(tmp_path, "worker_0") == "worker_0"
    release_worker(tmp_path, "worker_0")
    assert not list(tmp_path.rglob(".*"))
