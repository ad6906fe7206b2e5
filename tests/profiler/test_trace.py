"""What Perfetto is given: slices that nest, counters, names, and the operators in their place."""

from __future__ import annotations

import gzip
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from clary.errors import DataError, FormatError, StorageError
from clary.formats.timeline import Mode, TimelineWriter
from clary.formats.timeline.entries import Operators
from clary.formats.timeline.reader import STEP_DTYPE
from clary.formats.timeline.writer import STEPS_MAGIC
from clary.profiler.coarse_steps import coarse_steps
from clary.profiler.profile import Host, Profile
from clary.profiler.trace import MOST_STEPS, write_chrome_trace
from tests.profiler.made_profiles import MADE, START_S, MadeJob

Event = dict[str, Any]


def written(profile: Profile, path: Path) -> list[Event]:
    write_chrome_trace(profile, path)
    packed = path.read_bytes()
    content = json.loads(gzip.decompress(packed) if path.suffix == ".gz" else packed)
    events: list[Event] = content["traceEvents"]
    check_structure(events)
    return events


def check_structure(events: list[Event]) -> None:
    """What Perfetto's importer needs of the events that we make."""
    named = {e["pid"] for e in events if (e["ph"], e["name"]) == ("M", "process_name")}
    tracks: dict[tuple[int, int], list[tuple[float, float]]] = defaultdict(list)
    for event in events:
        assert event["pid"] in named
        if event["ph"] == "X":
            assert event["ts"] >= 0
            assert event["dur"] >= 0
            if "cat" not in event:  # those of torch's profiler nest as it wrote them
                end = event["ts"] + event["dur"]
                tracks[event["pid"], event["tid"]].append((event["ts"], end))
        elif event["ph"] == "C":
            assert all(isinstance(value, (int, float)) for value in event["args"].values())
        else:
            assert event["ph"] in "Misf"
    for slices in tracks.values():
        open_until: list[float] = []
        for begin, end in sorted(slices, key=lambda one: (one[0], -one[1])):
            while open_until and open_until[-1] <= begin + 0.01:
                open_until.pop()
            assert not open_until or end <= open_until[-1] + 0.01
            open_until.append(end)


def processes(events: list[Event]) -> dict[str, int]:
    return {
        e["args"]["name"]: e["pid"] for e in events if (e["ph"], e["name"]) == ("M", "process_name")
    }


@pytest.mark.parametrize("name", ["small_batches", "often_evaluated", "idle_gpu"])
def test_every_profile_becomes_a_sound_trace(name: str, tmp_path: Path) -> None:
    profile = MADE[name](tmp_path / "profiler")
    events = written(profile, tmp_path / "trace.json")
    steps = [e for e in events if e["ph"] == "X" and e["name"] == "training step"]
    assert len(steps) == len(profile.steps(Mode.TRAIN))
    assert {e["name"] for e in events if e["ph"] == "C"} >= {
        "processors",
        "Memory MemoryUsedPercent",
    }


def test_steps_have_their_phases_spans_and_batches(tmp_path: Path) -> None:
    profile = MADE["everything"](tmp_path / "profiler")
    events = written(profile, tmp_path / "trace.json.gz")
    names = processes(events)
    assert list(names) == ["algo-1 machine", "algo-1 worker_0 (process 4711)"]
    worker = [e for e in events if e["pid"] == names["algo-1 worker_0 (process 4711)"]]
    threads = {e["args"]["name"] for e in worker if e["name"] == "thread_name"}
    assert threads >= {"steps", "device", "initialization", "evaluation", "checkpoint", "loader 3"}
    first = next(e for e in worker if e["name"] == "training step")
    within = [
        e
        for e in worker
        if e["ph"] == "X"
        and e["tid"] == first["tid"]
        and first["ts"] <= e["ts"] < first["ts"] + first["dur"]
    ]
    assert [e["name"] for e in within[1:]] == [
        "data", "transfer", "forward", "backward", "optimizer"
    ]  # fmt: skip
    assert sum(e["dur"] for e in within[1:]) <= first["dur"]
    record = profile.steps(Mode.TRAIN)[0]
    assert first["ts"] == pytest.approx(record["start_us"] - START_S * 1e6, abs=2)
    assert first["args"] == {"step": 0, "pictures": 32}
    saved = [e for e in worker if e["name"] == "model.pt"]
    assert len(saved) == 3


def test_a_device_that_is_behind_its_host_is_drawn_in_its_order(tmp_path: Path) -> None:
    job = MadeJob(tmp_path / "profiler", gpus=1)
    job.train(20, device=(float("nan"), 0.01, 0.2, 0.3, 0.05))
    events = written(job.end(), tmp_path / "trace.json")
    on_device = [e for e in events if e["ph"] == "X" and e["tid"] == 2]
    assert len(on_device) == 20 * 4
    assert sum(e["dur"] for e in on_device) == pytest.approx(20 * 0.56e6, rel=1e-4)


def test_two_hosts_and_their_processes_are_told_apart(tmp_path: Path) -> None:
    for place in ("one", "two"):
        MADE["well_built"](tmp_path / place)
    TimelineWriter(tmp_path / "two", "worker_1").close()
    profile = Profile([Host("algo-1", tmp_path / "one"), Host("algo-2", tmp_path / "two")])
    profile.refresh()
    names = processes(written(profile, tmp_path / "trace.json"))
    assert len(set(names.values())) == len(names) == 5
    assert "algo-2 worker_1" in names


def test_operators_of_torch_lie_where_they_ran(tmp_path: Path) -> None:
    writer = TimelineWriter(tmp_path / "profiler")
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as looking:
        torch.randn(64, 64) @ torch.randn(64, 64)
    trace = tmp_path / "trace.json"
    looking.export_chrome_trace(str(trace))
    said = json.loads(trace.read_text())
    ran_us = said["baseTimeNanoseconds"] / 1e3 + min(
        e["ts"] for e in said["traceEvents"] if e.get("cat") == "cpu_op"
    )
    name = "trace-00000000-00000000.json.gz"
    (writer.folder / name).write_bytes(gzip.compress(trace.read_bytes()))
    writer.write_operators(Operators(0, 0, Mode.TRAIN, round(ran_us), 0.1, (), name))
    writer.write_steps([_step(round(ran_us) - 5_000_000)])
    profile = Profile.open([tmp_path / "profiler"])
    events = written(profile, tmp_path / "out.json")
    (product,) = [e for e in events if e["name"] == "aten::mm"]
    step = next(e for e in events if e["name"] == "training step")
    assert step["ts"] <= product["ts"] <= step["ts"] + step["dur"]
    assert any(name.endswith(", steps 0 to 0") for name in processes(events))

    # A clock that counts from another moment is set by when the look began.
    (writer.folder / name).write_bytes(
        gzip.compress(json.dumps({**said, "baseTimeNanoseconds": 0}).encode())
    )
    other = written(profile, tmp_path / "out.json")
    (moved,) = [e for e in other if e["name"] == "aten::mm"]
    assert moved["ts"] == pytest.approx(product["ts"], abs=1000)


@pytest.mark.parametrize("content", [b"", b"{}", b"no gzip", gzip.compress(b"[1", mtime=0)])
def test_a_damaged_trace_of_operators_is_told(content: bytes, tmp_path: Path) -> None:
    writer = TimelineWriter(tmp_path / "profiler")
    (writer.folder / "trace-1.json.gz").write_bytes(content)
    writer.write_operators(Operators(0, 0, Mode.TRAIN, 1, 0.1, (), "trace-1.json.gz"))
    writer.write_steps([_step(1_760_000_000_000_000)])
    profile = Profile.open([tmp_path / "profiler"])
    with pytest.raises(FormatError, match="is no trace of torch's profiler"):
        write_chrome_trace(profile, tmp_path / "out.json")
    assert not (tmp_path / "out.json").exists()


def test_nothing_recorded_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nothing was profiled"):
        write_chrome_trace(Profile.open([tmp_path]), tmp_path / "out.json")
    profile = MADE["well_built"](tmp_path / "profiler")
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError):
        write_chrome_trace(profile, tmp_path / "file" / "out.json")


def test_a_job_of_ten_hours_is_drawn_by_sums(tmp_path: Path) -> None:
    count = 600_000
    records = np.zeros(count, STEP_DTYPE)
    records["mode"] = np.where(np.arange(count) % 1000 < 990, Mode.TRAIN, Mode.EVAL)
    records["merged"], records["pictures"] = 1, 32
    records["step"] = np.arange(count)
    records["start_us"] = 1_760_000_000_000_000 + 60_000 * records["step"]
    records["seconds"] = records["longest_s"] = 0.06
    records["phases_s"] = [0.01, np.nan, 0.02, 0.02, 0.005]
    records["device_s"] = np.nan
    folder = TimelineWriter(tmp_path / "profiler").folder
    (folder / "steps-000001.bin").write_bytes(STEPS_MAGIC + records.tobytes())
    path = tmp_path / "trace.json.gz"
    events = written(Profile.open([tmp_path / "profiler"]), path)
    steps = [e for e in events if e["name"] in {"training step", "evaluation step"}]
    assert sum(e["args"]["steps"] for e in steps) == count
    assert path.stat().st_size < 4_000_000


def test_neighbours_are_added_up() -> None:
    records = np.zeros(1000, STEP_DTYPE)
    records["mode"] = [1] * 500 + [2] * 500
    records["merged"], records["seconds"] = 2, np.arange(1000)
    records["longest_s"] = np.arange(1000)
    records["phases_s"], records["device_s"] = 1.0, np.nan
    records["phases_s"][:40, 2] = np.nan
    fewer = coarse_steps(records, 30)
    assert 30 <= len(fewer) <= 31
    assert fewer["merged"].sum() == 2000
    assert fewer["seconds"].sum() == pytest.approx(records["seconds"].sum(), rel=1e-6)
    assert fewer["longest_s"].max() == 999
    assert np.isnan(fewer["phases_s"][0, 2])
    assert np.nansum(fewer["phases_s"][:, 0]) == 1000
    assert np.isnan(fewer["device_s"]).all()
    assert set(fewer["mode"]) == {1, 2}
    assert coarse_steps(records, MOST_STEPS) is records


def _step(start_us: int) -> Any:
    from clary.formats.timeline import StepRecord

    return StepRecord(Mode.TRAIN, 0, start_us, 10.0, 10.0, phases_s=(0.0, 0.0, 5.0, 1.0, 0.0))
