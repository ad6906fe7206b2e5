"""What the profiler has measured, read through `smdebug`: numpy is all that this needs."""

from __future__ import annotations

import json
import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clary.formats.system_metrics import Metric, append_snapshot
from clary.profiler.framework_events import write_framework_events
from clary.profiler.profile import Profile
from tests.profiler.made_profiles import MadeJob, everything

pytestmark = pytest.mark.usefixtures("smdebug_path")

START = 1_733_636_910.0


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made") / "profiler-output"
    everything(folder)
    return folder


def readers(folder: Path) -> tuple[Any, Any]:
    from smdebug.profiler import LocalAlgorithmMetricsReader, LocalSystemMetricsReader

    return LocalSystemMetricsReader(folder), LocalAlgorithmMetricsReader(folder)


def snapshot(folder: Path, node: str, at: float, cpu: float) -> None:
    metrics = [
        Metric("cpu", "cpu0", "CPUUtilization", cpu),
        Metric("cpu", "cpu1", "CPUUtilization", cpu / 2),
        Metric("memory", "MemoryUsedPercent", "Memory", 40.0),
        Metric("network", "ReceiveBytesPerSecond", "Algorithm", 5e6),
    ]
    append_snapshot(folder, node, at, metrics)


def test_metrics_of_machines_while_they_grow(tmp_path: Path) -> None:
    from smdebug.profiler.utils import TimeUnits

    system, _ = readers(tmp_path)
    assert system.get_current_time_range_for_event_query() == (0, 0)
    assert system.get_events(0, 1e18) == []
    for second in range(100):
        snapshot(tmp_path, "algo-1", START + second, float(second))
    snapshot(tmp_path, "algo-2", START + 0.25, 50.0)
    # Nothing new is seen before somebody looks.
    assert system.get_timestamp_of_latest_available_file() == 0
    system.refresh_event_file_list()
    minute = int(START) // 60 * 60
    assert system.get_current_time_range_for_event_query() == (
        minute * 1_000_000,
        round((START + 99) * 1e6),
    )
    found = system.get_events(START + 10, START + 12, unit=TimeUnits.SECONDS)
    assert [one.timestamp for one in found if one.name == "cpu0"] == [
        START + 10,
        START + 11,
        START + 12,
    ]
    cores = system.get_events(0, 2e15, event_type="cpu")
    assert len(cores) == 2 * 101
    assert [one.timestamp for one in cores] == sorted(one.timestamp for one in cores)
    assert {one.node_id for one in cores} == {"algo-1", "algo-2"}
    memory = system.get_events(0, 2e15, event_type="memory")[0]
    # As SageMaker's files have it.
    assert (memory.name, memory.dimension, memory.value) == ("MemoryUsedPercent", "", 40.0)
    # A line that is being written, or that a full disk has cut off.
    newest = max((tmp_path / "system").rglob("*.algo-1.json"))
    with newest.open("a") as file:
        file.write('{"Type":"cpu","Name":"cpu0"}\n{"Type":"cpu","Na')
    assert len(system.get_events(0, 2e15, event_type="cpu")) == 2 * 101
    with newest.open("a") as file:
        file.write('me":"cpu0","Dimension":"CPUUtilization","Value":7,')
        file.write(f'"NodeId":"algo-1","Timestamp":{START + 100}}}\n')
    # Beyond what is known, readers look by themselves.
    assert system.get_events(0, 2e15, event_type="cpu")[-1].value == 7.0


def test_steps_and_phases_of_a_timeline(made: Path) -> None:
    _, framework = readers(made)
    first, latest = framework.get_current_time_range_for_event_query()
    events = framework.get_events(first, latest)
    steps = [one for one in events if one.event_name == "Step:ModeKeys.TRAIN"]
    assert [one.event_args["step_num"] for one in steps] == [str(n) for n in range(len(steps))]
    assert {one.node_id for one in events} == {"algo-1-4711"}
    at = steps[7]
    inside = [one for one in events if one.event_args.get("step_num") == "7"]
    inside = [one for one in inside if abs(one.start_time - at.start_time) < 1e6]
    by_phase = {one.event_phase: one for one in inside}
    forward, backward = by_phase["Forward"], by_phase["Backward(post-forward)"]
    assert at.start_time == forward.start_time
    assert abs(forward.end_time - backward.start_time) <= 1
    assert by_phase["Optimizer"].end_time <= at.end_time + 1
    # Waiting comes before what SageMaker calls a step.
    assert by_phase["DataLoaderIter"].end_time <= at.start_time
    json.loads(at.to_json())
    assert {one.event_phase for one in events} >= {
        "Evaluation",
        "Checkpoint",
        "Initialization",
        "DataLoaderIterInitialize",
        "DataLoaderWorker",
        "DataLoaderBatch",
    }
    # By number: from the begin of step 5 up to that of step 8.
    some = framework.get_events_by_step(5, 8)
    wholly = [one for one in some if one.event_name == "Step:ModeKeys.TRAIN"]
    assert {"5", "6", "7"} <= {one.event_args["step_num"] for one in wholly}
    assert "8" not in {one.event_args["step_num"] for one in wholly}
    assert framework.get_events_by_step(10**6, 10**6 + 1) == []
    assert framework.get_events(first, latest, file_suffix_filter=["model_timeline.json"]) == []
    assert framework.get_events(first, latest, file_suffix_filter=["pythontimeline.json"])


def test_files_for_sagemakers_readers_are_read_as_the_timeline_is(
    made: Path, tmp_path: Path
) -> None:
    written = write_framework_events(Profile.open([made]), tmp_path)
    assert any(path.name.endswith("_pythontimeline.json") for path in written)
    _, of_files = readers(tmp_path)
    _, of_timeline = readers(made)

    def facts(reader: Any) -> list[Any]:
        events = reader.get_events(*reader.get_current_time_range_for_event_query())
        return sorted(
            (one.start_time, one.duration, one.event_phase, one.event_name, one.step, one.node_id)
            for one in events
            # Batches are of the timeline alone.
            if one.event_phase != "DataLoaderBatch"
        )

    assert facts(of_files) == facts(of_timeline)
    assert len(facts(of_files)) > 1000


def test_traces_as_the_original_library_writes_them(tmp_path: Path) -> None:
    folder = tmp_path / "framework" / "pevents" / "2024120805"
    folder.mkdir(parents=True)
    meta = {"name": "Step:ModeKeys.GLOBAL", "start_time_since_epoch_in_micros": 1_000_000}
    begun = {"name": "Dataset", "ph": "B", "pid": 2, "ts": 10, "tid": 5}
    entries = [
        {"name": "process_name", "ph": "M", "pid": 1, "args": meta},
        {"name": "process_sort_index", "ph": "M", "pid": 1, "args": {"sort_index": 1}},
        {
            "name": "Step:ModeKeys.GLOBAL",
            "ph": "X",
            "pid": 1,
            "ts": 100,
            "dur": 50,
            "args": {"step_num": "3", "pid": 812},
        },
        begun,
        {"ph": "E", "pid": 2, "ts": 40},
        {"name": "never ended", "ph": "B", "pid": 3, "ts": 11},
    ]
    (folder / "1000150_812-algo-2_pythontimeline.json").write_text(json.dumps(entries))
    (folder / "1000160_812-algo-2_model_timeline.json").write_text("[\n{")
    (folder / "notes.json").write_text("{}")
    _, framework = readers(tmp_path)
    events = framework.get_events(0, 1e16)
    assert [(one.event_name, one.event_phase, one.start_time, one.duration) for one in events] == [
        ("Dataset", "Unknown", 1_000_010, 30),
        ("Step:ModeKeys.GLOBAL", "Step:ModeKeys.GLOBAL", 1_000_100, 50),
    ]
    step = events[1]
    assert (step.step, step.pid, step.node_id, step.file_type) == (
        3,
        812,
        "algo-2-812",
        "pythontimeline",
    )
    assert framework.get_events_by_step(3, 4) == events[1:]


@pytest.mark.parametrize(
    "damaged",
    [
        '["x"]',
        "3",
        '[{"ph": "X", "name": "no ts"}]',
        '[{"ph": "X", "ts": 1, "args": {"step_num": "abc"}}]',
        '[{"ph": "X", "ts": 1e999}]',
        '[{"ph": "M", "args": ["x"]}]',
        '{"traceEvents": 5}',
    ],
)
def test_a_damaged_trace_is_passed_over_and_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, damaged: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from smdebug.core.logger import get_logger

    monkeypatch.setattr(get_logger(), "propagate", True)
    folder = tmp_path / "framework" / "pevents" / "2024120805"
    folder.mkdir(parents=True)
    (folder / "1000150_1-algo-1_pythontimeline.json").write_text(damaged)
    whole = [{"name": "fine", "ph": "X", "ts": 100, "dur": 50}]
    (folder / "1000160_1-algo-1_pythontimeline.json").write_text(json.dumps(whole))
    _, framework = readers(tmp_path)
    assert [one.event_name for one in framework.get_events(0, 1e16)] == ["fine"]
    assert framework.get_events_by_step(0, 9) == []
    (said,) = [one.message for one in caplog.records if "is passed over" in one.message]
    assert "1000150_1-algo-1_pythontimeline.json" in said


def test_damaged_numbers_of_a_machine_are_passed_over(tmp_path: Path) -> None:
    snapshot(tmp_path, "algo-1", START, 80.0)
    (file,) = tmp_path.rglob("*.json")
    row = json.loads(file.read_text().splitlines()[0])
    changes: list[dict[str, Any]] = [
        {"Value": None},
        {"Value": "x"},
        {"Value": 10**400},
        {"Timestamp": []},
        {"Type": ["cpu"]},
        {"NodeId": 3},
    ]
    rows = [{**row, **change} for change in changes]
    whole = file.read_text()
    file.write_text("".join(json.dumps(one) + "\n" for one in rows) + whole)
    system, _ = readers(tmp_path)
    events = system.get_events(0, 1e16)
    assert [one.name for one in events if one.type == "cpu"] == ["cpu0", "cpu1"]
    assert len(events) == 4


def test_damaged_functions_are_passed_over_and_said(
    made: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from smdebug.core.logger import get_logger
    from smdebug.profiler.analysis.python_profile_analysis import cProfileAnalysis

    monkeypatch.setattr(get_logger(), "propagate", True)
    write_framework_events(Profile.open([made]), tmp_path)
    (whole,) = tmp_path.rglob("python_stats")
    stats = whole.read_bytes()
    contents = [b"", stats[: len(stats) // 2], b"x", b"i\x01\x00\x00\x00"]
    for number, content in enumerate(contents):
        folder = whole.parent.with_name(f"train-{number}-stepstart-1_train-{number}-stepend-2")
        folder.mkdir()
        (folder / "python_stats").write_bytes(content)
    found = cProfileAnalysis(tmp_path).python_profile_stats
    assert [one.stats_path for one in found] == [str(whole)]
    assert len([one for one in caplog.records if "is damaged" in one.message]) == len(contents)


def test_short_steps_of_one_record_are_one_event(tmp_path: Path) -> None:
    job = MadeJob(tmp_path)
    job.train(400, data=0.0001, transfer=0, forward=0.0005, backward=0.0005, merged=20)
    job.end()
    _, framework = readers(tmp_path)
    steps = [one for one in framework.get_events(0, 1e16) if one.event_name.startswith("Step")]
    assert len(steps) == 20
    assert [one.step for one in steps] == list(range(0, 400, 20))
    assert {one.steps for one in steps} == {20}
    inside = framework.get_events_by_step(25, 30)
    assert [one.step for one in inside if one.event_name.startswith("Step")] == [20]


def test_several_hosts(tmp_path: Path) -> None:
    """As the service lays them out on S3."""
    for node in ("algo-1", "algo-2"):
        job = MadeJob(tmp_path / node, node=node, cores=2)
        job.train(20)
        job.end()
        shutil.copytree(tmp_path / node / "system", tmp_path / "s3" / "system", dirs_exist_ok=True)
        shutil.copytree(
            tmp_path / node / "timeline" / "worker_0",
            tmp_path / "s3" / "timeline" / f"{node}-worker_0",
        )
    system, framework = readers(tmp_path / "s3")
    assert {one.node_id for one in system.get_events(0, 1e16)} == {"algo-1", "algo-2"}
    assert {one.node_id for one in framework.get_events(0, 1e16)} == {
        "algo-1-4711",
        "algo-2-4711",
    }


def test_the_mean_of_what_is_measured_alike() -> None:
    from smdebug.profiler.analysis.notebook_utils.system_series import grouped, selected
    from smdebug.profiler.system_profiler_file_parser import ProfilerSystemEvent

    core = ProfilerSystemEvent("cpu", "cpu10", "CPUUtilization", 30.0, "algo-1", 1.0)
    events = [
        core,
        core._replace(name="cpu2", value=10.0),
        core._replace(timestamp=2.0, value=50.0),  # cpu2 has no sample then
        core._replace(type="i/o", name="IOPS", dimension="", value=7.0),
    ]
    series = grouped(events, show_workers=True)
    assert list(series) == ["CPUUtilization-nodeid:algo-1", "i/o-nodeid:algo-1"]
    cores = series["CPUUtilization-nodeid:algo-1"]
    assert list(cores) == ["cpu2", "cpu10", "total"]
    assert np.allclose(cores["total"], [[1.0, 20.0], [2.0, 50.0]])
    assert list(series["i/o-nodeid:algo-1"]) == ["IOPS"]
    assert list(grouped(events, show_workers=False)) == ["CPUUtilization", "i/o"]
    chosen = selected(series, ["CPU", "GPU"], ["total"])
    assert [(dimension, name) for dimension, name, _ in chosen] == [
        ("CPUUtilization-nodeid:algo-1", "total")
    ]


def test_what_is_not_there_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    from smdebug.profiler.analysis.notebook_utils.system_series import selected

    assert selected({"CPUUtilization": {"cpu0": np.ones((1, 2))}}, ["GPU"], [".*"]) == []
    assert "there is CPUUtilization (cpu0)" in capsys.readouterr().out


def test_all_in_one_trace(made: Path, tmp_path: Path) -> None:
    from smdebug.exceptions import SMDebugValueError
    from smdebug.profiler.analysis.utils.merge_timelines import MergedTimeline, MergeUnit

    merged = MergedTimeline(str(made), output_directory=tmp_path)
    path = Path(merged.merge_timeline(20, 23, MergeUnit.STEP))
    entries = json.loads(path.read_text())
    names = {one["pid"]: one["args"]["name"] for one in entries if one["name"] == "process_name"}
    assert {"Step:ModeKeys.TRAIN", "Forward", "system metrics"} <= set(names.values())
    timed = [one for one in entries if one["ph"] == "X"]
    assert all(one["dur"] >= 0 and one["pid"] in names for one in timed)
    counters = {one["name"] for one in entries if one["ph"] == "C"}
    assert "cpu0 CPUUtilization algo-1" in counters
    first = min(one["ts"] for one in timed)
    without = MergedTimeline(str(made), output_directory=tmp_path / "other").merge_timeline(
        first, first + 1_000_000, MergeUnit.TIME, {}
    )
    assert not any(one["ph"] == "C" for one in json.loads(Path(without).read_text()))
    with pytest.raises(SMDebugValueError, match="give output_directory"):
        MergedTimeline("s3://bucket/job/profiler-output")


def test_functions_of_chosen_steps(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from smdebug.profiler.analysis.python_profile_analysis import cProfileAnalysis
    from smdebug.profiler.analysis.utils.python_profile_analysis_utils import Metrics

    write_framework_events(Profile.open([made]), tmp_path)
    found = []
    for folder in (made, tmp_path, tmp_path / "framework" / "pytorch" / "cprofile"):
        analysis = cProfileAnalysis(folder)
        assert analysis.list_available_node_ids() == ["4711-algo-1"]
        stats = analysis.fetch_profile_stats_by_step(0, 20)
        found.append({one.function_name: one.total_time for one in stats.function_stats_list})
        (modes,) = analysis.fetch_profile_stats_by_training_phase()
        assert [mode.name for mode in modes] == ["TRAIN", "TRAIN"]
        assert list(analysis.fetch_profile_stats_by_job_phase()) == ["training_loop"]
        begin = analysis.python_profile_stats[0].start_time_since_epoch_in_micros / 1e6
        assert analysis.fetch_profile_stats_by_time(begin - 1, begin + 0.1) is not None
    assert found[0]
    assert found[0] == found[1] == found[2]
    stats.print_top_n_functions(Metrics.TOTAL_TIME, n=1)
    assert max(found[0], key=lambda name: found[0][name]) in capsys.readouterr().out
    assert analysis.fetch_profile_stats_by_step(500) is None
    assert analysis.fetch_pre_step_zero_profile_stats() is None
    assert "No functions were recorded there" in capsys.readouterr().out


@pytest.mark.skipif(find_spec("matplotlib") is not None, reason="there is a matplotlib")
def test_without_a_library_for_charts_one_sentence(made: Path) -> None:
    from smdebug.profiler.analysis.notebook_utils import TimelineCharts

    with pytest.raises(ImportError, match=r"charts need matplotlib.*: pip install matplotlib$"):
        TimelineCharts(readers(made)[0], None)


@pytest.mark.skipif(find_spec("pandas") is not None, reason="there is a pandas")
def test_without_a_library_for_tables_one_sentence(made: Path) -> None:
    from smdebug.profiler.analysis.utils.profiler_data_to_pandas import PandasFrame

    with pytest.raises(ImportError, match=r"tables need pandas.*: pip install pandas$"):
        PandasFrame(str(made))


def test_what_is_not_offered_is_refused_by_name() -> None:
    import smdebug.profiler
    from smdebug.exceptions import SMDebugValueError

    with pytest.raises(ImportError, match="S3NumpySystemMetricsReader is not offered"):
        from smdebug.profiler.system_metrics_reader import S3NumpySystemMetricsReader  # noqa: F401
    with pytest.raises(ImportError, match="PyinstrumentAnalysis is not offered"):
        from smdebug.profiler.analysis.python_profile_analysis import (  # noqa: F401
            PyinstrumentAnalysis,
        )
    with pytest.raises(AttributeError, match="it offers LocalAlgorithmMetricsReader"):
        _ = smdebug.profiler.Profiler
    from smdebug.profiler.system_metrics_reader import S3SystemMetricsReader

    with pytest.raises(SMDebugValueError, match="'/tmp/x' is no place on S3"):
        S3SystemMetricsReader("/tmp/x")


@given(st.integers(0, 4_000_000_000_000_000), st.sampled_from(["SECONDS", "MILLISECONDS"]))
def test_moments_keep_their_digits(moment_us: int, unit_name: str) -> None:
    from smdebug.profiler import utils

    unit = utils.TimeUnits[unit_name]
    factor = 1_000_000 if unit_name == "SECONDS" else 1_000
    # A number of so many digits is exact to a microsecond.
    found = utils.convert_utc_timestamp_to_microseconds(moment_us / factor, unit)
    assert abs(found - moment_us) <= 1
    nanoseconds = utils.convert_utc_timestamp_to_nanoseconds(moment_us)
    assert nanoseconds == moment_us * 1000
    back = utils.convert_utc_timestamp_to_microseconds(nanoseconds, utils.TimeUnits.NANOSECONDS)
    assert back == moment_us
    readable = utils.us_since_epoch_to_human_readable_time(moment_us)
    assert readable.endswith(f":{moment_us % 1_000_000:06}")
    assert utils.ns_since_epoch_to_human_readable_time(nanoseconds) == readable
