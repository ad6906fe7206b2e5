"""Steps in SageMaker's files, read by the rules of SageMaker's own readers."""

from __future__ import annotations

import json
import pstats
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from clary.formats.timeline import Mode
from clary.jobs.framework_events import main
from clary.profiler.profile import Profile
from clary.profiler.trace import write_framework_events
from tests.profiler.made_profiles import MADE, START_S

# What the original library takes for one of its files, and reads from its name.
NAME = re.compile(r".*/framework/pevents/(\d{10})/(\d{16})_(\d+-algo-\d+)_pythontimeline\.json$")


def read(paths: tuple[Path, ...] | list[Path]) -> list[dict[str, Any]]:
    """Events as the original library has them: moments since 1970, phases by name."""
    events = []
    for path in paths:
        match = NAME.match(str(path))
        assert match is not None, path
        start_us, phases, ends = 0, {}, []
        for row in json.loads(path.read_text()):
            if row["ph"] == "M":
                start_us = row["args"].get("start_time_since_epoch_in_micros", start_us)
                if row["name"] == "process_name":
                    phases[row["pid"]] = row["args"]["name"]
                continue
            assert row["ph"] == "X"
            assert isinstance(row["ts"], int)
            assert isinstance(row["dur"], int)
            assert row["dur"] >= 0
            begin_us = start_us + row["ts"]
            ends.append(begin_us + row["dur"])
            events.append({**row, "phase": phases[row["pid"]], "start_us": begin_us})
        assert max(ends) == int(match[2])
        assert len({end // 60_000_000 for end in ends}) == 1
    return events


@pytest.mark.parametrize("name", ["small_batches", "often_saved", "everything"])
def test_every_step_is_there_with_its_phases(name: str, tmp_path: Path) -> None:
    profile = MADE[name](tmp_path / "profiler")
    paths = write_framework_events(profile, tmp_path / "out")
    events = read([path for path in paths if path.suffix == ".json"])
    phases = Counter(event["phase"] for event in events)
    for mode in Mode:
        assert phases[f"Step:ModeKeys.{mode.name}"] == len(profile.steps(mode))
    trained = len(profile.steps(Mode.TRAIN))
    assert phases["Backward(post-forward)"] == trained
    assert phases["Forward"] == len(profile.steps())
    waits = [event for event in events if event["name"] == "DataLoaderIter::GetNext"]
    assert len(waits) == len(profile.steps())
    numbers = [
        int(event["args"]["step_num"]) for event in events if event["name"] == "Step:ModeKeys.TRAIN"
    ]
    assert sorted(numbers) == sorted(profile.steps(Mode.TRAIN)["step"].tolist())


def test_a_step_begins_behind_its_data_and_ends_with_the_optimizer(tmp_path: Path) -> None:
    profile = MADE["well_built"](tmp_path / "profiler")
    events = read(write_framework_events(profile, tmp_path / "out"))
    first = {
        event["phase"]: event for event in reversed(events) if event["args"].get("step_num") == "0"
    }
    step, forward = first["Step:ModeKeys.TRAIN"], first["Forward"]
    wait, last = first["DataLoaderIter"], first["Optimizer"]
    assert wait["start_us"] < step["start_us"] == forward["start_us"]
    assert step["start_us"] + step["dur"] == last["start_us"] + last["dur"]
    assert wait["start_us"] >= START_S * 1e6


def test_loaders_and_spans_are_called_as_the_readers_know_them(tmp_path: Path) -> None:
    profile = MADE["everything"](tmp_path / "profiler")
    paths = write_framework_events(profile, tmp_path / "out")
    events = read([path for path in paths if path.suffix == ".json"])
    started = [event for event in events if event["phase"] == "DataLoaderIterInitialize"]
    assert len(started) == 3
    assert started[0]["name"] == "_MultiProcessingDataLoaderIter.__init__"
    assert started[0]["args"] == {"pid": 4711, "num_workers": 4, "pin_memory": False}
    workers = [event for event in events if event["phase"] == "DataLoaderWorker"]
    assert sorted(event["args"]["worker_id"] for event in workers) == [0, 1, 2, 3]
    assert {"Evaluation", "Checkpoint"} <= {event["phase"] for event in events}


def test_functions_are_statistics_of_cprofile(tmp_path: Path) -> None:
    profile = MADE["everything"](tmp_path / "profiler")
    (path,) = [
        one
        for one in write_framework_events(profile, tmp_path / "out")
        if one.name == "python_stats"
    ]
    assert path.parts[-5:-2] == ("pytorch", "cprofile", "4711-algo-1")
    between = r"train-5-stepstart-\d{16}_train-14-stepend-\d{16}"
    assert re.fullmatch(between, path.parent.name)
    statistics = pstats.Stats(str(path)).get_stats_profile()
    assert statistics.func_profiles["train"].cumtime == pytest.approx(1.9)


def test_the_program_writes_the_files_of_all_hosts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for place in ("one", "two"):
        MADE["small_batches"](tmp_path / place)
    code = main([str(tmp_path / "one"), str(tmp_path / "two"), "--output", str(tmp_path / "out")])
    paths = list((tmp_path / "out").rglob("*.json"))
    assert (code, capsys.readouterr().out) == (0, f"{len(paths)}\n")
    nodes = {path.name.split("_")[1] for path in paths}
    assert nodes == {"4711-algo-1", "4711-algo-2"}


def test_a_job_that_never_trained_has_no_files(tmp_path: Path) -> None:
    assert write_framework_events(Profile.open([tmp_path]), tmp_path / "out") == ()
    assert not (tmp_path / "out").exists()
