"""Looking into steps: what is added up, and how others who look are let go first."""

from __future__ import annotations

import cProfile
import gzip
import json
import sys
import time

import pytest
import torch
from torch import nn

from clary.formats.timeline import TimelineWriter
from clary.formats.timeline.reader import Timeline
from clary.profiler.recording.functions import CallCounter, StackSampler
from clary.profiler.recording.look import StepsSeen
from clary.profiler.recording.operators import OperatorLook
from clary.profiler.recording.trace_sums import sums_of

STEPS = StepsSeen(3, 4, 1_700_000_000_000_000, 0.5)


@pytest.fixture
def written(tmp_path):
    """Does the work of a look that has ended; gives what was written."""

    def write(work):
        writer = TimelineWriter(tmp_path)
        pending = work(writer)
        while pending is not None:
            time.sleep(0.02)
            pending = pending.again(writer)
        writer.close()
        timeline = Timeline(tmp_path)
        timeline.refresh()
        return timeline.workers["worker_0"]

    return write


def compute(times=3):
    layer = nn.Conv2d(3, 8, 3)
    for _ in range(times):
        layer(torch.randn(2, 3, 16, 16)).sum().backward()


def test_sums_are_those_of_torchs_own_profiler(tmp_path):
    activities = [torch.profiler.ProfilerActivity.CPU]
    with torch.profiler.profile(activities=activities, profile_memory=True) as profiler:
        compute()
    profiler.export_chrome_trace(str(tmp_path / "trace.json"))
    events = json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    ours = {one["name"]: one for one in sums_of(events)["operators"]}
    theirs = {one.key: one for one in profiler.key_averages()}
    compared = [name for name in ours if name in theirs]
    assert len(compared) > 20
    for name in compared:
        assert ours[name]["calls"] == theirs[name].count, name
        for key, us in (
            ("cpu_self_s", theirs[name].self_cpu_time_total),
            ("cpu_total_s", theirs[name].cpu_time_total),
        ):
            assert ours[name][key] == pytest.approx(us / 1e6, rel=0.03, abs=5e-6), name
    taken = ours["aten::randn"]["memory_bytes"] + ours["aten::empty"]["memory_bytes"]
    assert taken >= 3 * 2 * 3 * 16 * 16 * 4


def made(cat, name, ts, dur, number=None, **more):
    args = {} if number is None else {"External id": number}
    return {"ph": "X", "cat": cat, "name": name, "pid": 1, "tid": 1, "ts": ts, "dur": dur,
            "args": args, **more}  # fmt: skip


def test_kernels_belong_to_who_launched_them():
    events = [
        made("cpu_op", "aten::linear", 0, 100, 1),
        made("cpu_op", "aten::addmm", 10, 60, 2),
        made("cpu_op", "aten::relu", 200, 10, 3),
        made("cpu_op", "aten::relu", 202, 5, 4),
        made("kernel", "gemm", 1000, 400, 2, tid=7),
        made("kernel", "relu", 1400, 30, 4, tid=7),
        made("gpu_memcpy", "copy", 1500, 9, 99, tid=7),
        {"ph": "i", "name": "[memory]", "pid": 1, "tid": 1, "ts": 20,
         "args": {"Bytes": 512, "Total Allocated": 2048, "Device Type": 1}},
        {"ph": "i", "name": "[memory]", "pid": 1, "tid": 1, "ts": 500,
         "args": {"Bytes": 64, "Total Allocated": 64, "Device Type": 0}},
    ]  # fmt: skip
    sums = sums_of(events)
    assert sums["peak_memory_bytes"] == 2048
    found = {one["name"]: one for one in sums["operators"]}
    assert found["aten::addmm"]["device_self_s"] == pytest.approx(400e-6)
    assert found["aten::addmm"]["device_memory_bytes"] == 512
    assert found["aten::linear"]["device_self_s"] == 0
    assert found["aten::linear"]["device_total_s"] == pytest.approx(400e-6)
    assert found["aten::linear"]["cpu_self_s"] == pytest.approx(40e-6)
    # One that calls a variant of itself is counted once.
    assert found["aten::relu"]["calls"] == 1
    assert found["aten::relu"]["cpu_total_s"] == pytest.approx(10e-6)
    assert found["aten::relu"]["device_total_s"] == pytest.approx(30e-6)


def test_operators_are_written_with_their_trace(written):
    look = OperatorLook()
    assert look.start() is None
    compute()
    worker = written(look.stop(STEPS))
    (operators,) = worker.operators
    assert (operators.first, operators.last, operators.seconds) == (3, 4, 0.5)
    calls = {one.name: one.calls for one in operators.operators}
    assert calls["aten::convolution_backward"] == 3
    with gzip.open(worker.folder / operators.trace, "rt") as file:
        assert any(one["name"] == "aten::conv2d" for one in json.load(file)["traceEvents"])
    assert not [path for path in worker.folder.iterdir() if path.name.startswith(".")]


def test_torchs_profiler_of_a_script_goes_before(written):
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as theirs:
        refused = OperatorLook().start()
        compute()
    assert "another profiler of torch's is active" in refused
    before = torch.autograd.profiler.profile._start_trace
    look = OperatorLook()
    assert look.start() is None
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as theirs:
        compute()
    assert any(one.key == "aten::conv2d" for one in theirs.key_averages())
    assert torch.autograd.profiler.profile._start_trace is before
    worker = written(look.stop(STEPS))
    assert worker.operators == ()
    assert worker.failures == ("operators are not recorded: another profiler was started",)


def work():
    return sorted(range(100), key=lambda one: -one)


def test_calls_are_counted(written):
    look = CallCounter()
    assert look.start() is None
    for _ in range(7):
        work()
    worker = written(look.stop(STEPS))
    assert sys.getprofile() is None
    found = {one.name.split(".")[-1]: one for one in worker.functions[0].functions}
    assert (found["work"].calls, found["<lambda>"].calls) == (7, 700)
    assert found["work"].total_s >= found["<lambda>"].self_s
    assert found["work"].file == __file__
    assert not any("clary/profiler" in one.file for one in found.values())


def test_pythons_profiler_of_a_script_goes_before(written):
    theirs = cProfile.Profile()
    theirs.enable()
    refused = CallCounter().start()
    work()
    theirs.disable()
    assert "another profiler of Python's functions is active" in refused
    look = CallCounter()
    assert look.start() is None
    theirs = cProfile.Profile()
    with theirs:
        work()
    assert any(
        row.code.co_name == "work" for row in theirs.getstats() if hasattr(row.code, "co_name")
    )
    worker = written(look.stop(STEPS))
    assert "enable" not in vars(cProfile.Profile)
    assert worker.functions == ()
    assert worker.failures == ("functions are not recorded: another profiler was started",)


def test_someone_elses_function_in_the_profilers_place_stays(written):
    look = CallCounter()
    assert look.start() is None

    def theirs(*_):
        return None

    sys.setprofile(theirs)
    try:
        worker = written(look.stop(STEPS))
        assert sys.getprofile() is theirs
    finally:
        sys.setprofile(None)
    assert worker.functions == ()


def test_samples_share_out_the_time(written):
    look = StackSampler()
    assert look.start() is None
    while look._samples < 20:
        work()
    worker = written(look.stop(STEPS))
    (functions,) = worker.functions
    found = {one.name.split(".")[-1]: one for one in functions.functions}
    assert sum(one.self_s for one in functions.functions) == pytest.approx(0.5, rel=0.2)
    assert found["work"].total_s > 0
