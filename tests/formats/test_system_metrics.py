"""System metrics: SageMaker's layout, whole lines whatever happens, and reading while they grow."""

from __future__ import annotations

import json
import math
import os
import re
import resource
import signal
import site
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clary.errors import StorageError
from clary.formats.system_metrics import (
    Metric,
    SystemMetrics,
    append_snapshot,
    failures_file,
    metrics_file,
    record_failure,
)

AT_S = 1591748109.23
CPU = Metric("cpu", "cpu0", "CPUUtilization", 97.5)
MEMORY = Metric("memory", "MemoryUsedPercent", "Memory", 12.25)
DISK = Metric("i/o", "IOPS", "Disk", 3.0)

# The original profiler's library, where somebody has installed it to compare with. It borrows
# psutil, as the benchmarks let it borrow torch, from the environment that asks.
ORIGINAL = Path.home() / ".cache" / "clary-benchmarks"
READ_BY_THE_ORIGINAL = """
import json, sys
sys.path.extend(sys.argv[2:])
from smdebug.profiler.system_metrics_reader import LocalSystemMetricsReader
reader = LocalSystemMetricsReader(sys.argv[1])
events = reader.get_events(0, 2_000_000_000_000_000)
print(json.dumps([[e.type, e.name, e.dimension, e.value, e.node_id, e.timestamp] for e in events]))
"""


@contextmanager
def room_for(bytes_: int) -> Iterator[None]:
    """Files of this process may grow to so many bytes, as on a disk that is almost full."""
    earlier = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_, earlier[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, earlier)
        signal.signal(signal.SIGXFSZ, handler)


def test_a_snapshot_lies_where_sagemaker_puts_it(tmp_path: Path) -> None:
    append_snapshot(tmp_path, "algo-2", AT_S, [CPU, MEMORY, DISK])
    (path,) = tmp_path.rglob("*.json")
    assert str(path.relative_to(tmp_path)) == "system/incremental/2020061000/1591748100.algo-2.json"
    assert path == metrics_file(tmp_path, "algo-2", AT_S)
    lines = path.read_text().splitlines()
    assert lines[0] == (
        '{"Type":"cpu","Name":"cpu0","Dimension":"CPUUtilization","Value":97.5,'
        '"NodeId":"algo-2","Timestamp":1591748109.230000}'
    )
    # SageMaker names no dimension of these.
    assert [json.loads(line)["Dimension"] for line in lines[1:]] == ["", ""]


def test_the_name_of_a_file_is_what_the_original_looks_for(tmp_path: Path) -> None:
    path = metrics_file(tmp_path, "algo-1", AT_S)
    assert re.match(r".+/system/.+/(\d{10}).algo-\d+.json", str(path))


def test_what_was_written_is_read(tmp_path: Path) -> None:
    append_snapshot(tmp_path, "algo-1", AT_S, [CPU, MEMORY])
    append_snapshot(tmp_path, "algo-1", AT_S + 60, [MEMORY, DISK])
    metrics = SystemMetrics(tmp_path)
    assert metrics.refresh()
    assert metrics.keys == (
        ("CPUUtilization", "cpu0"),
        ("Disk", "IOPS"),
        ("Memory", "MemoryUsedPercent"),
    )
    times, values = metrics.series("Memory", "MemoryUsedPercent")
    assert times.tolist() == [AT_S, AT_S + 60]
    assert values.tolist() == [12.25, 12.25]
    assert metrics.nodes == {"algo-1"}
    assert not metrics.refresh()


@given(
    st.lists(
        st.tuples(
            st.floats(1e9, 4e9),
            st.lists(st.floats(allow_nan=True, allow_infinity=True), min_size=1, max_size=4),
        ),
        min_size=1,
        max_size=8,
    )
)
def test_any_numbers_survive(snapshots: list[tuple[float, list[float]]]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        expected: dict[str, list[tuple[float, float]]] = {}
        reader = SystemMetrics(folder)
        for at_s, values in snapshots:
            metrics = [Metric("cpu", f"cpu{n}", "CPUUtilization", v) for n, v in enumerate(values)]
            append_snapshot(folder, "algo-1", at_s, metrics)
            reader.refresh()
            for one in metrics:
                if math.isfinite(one.value):
                    expected.setdefault(one.name, []).append((round(at_s, 6), round(one.value, 3)))
        for core, rows in expected.items():
            times, values_read = reader.series("CPUUtilization", core)
            assert sorted(zip(times.tolist(), values_read.tolist(), strict=True)) == sorted(rows)
        assert {core for _, core in reader.keys} == set(expected)


def test_a_full_disk_leaves_whole_lines(tmp_path: Path) -> None:
    append_snapshot(tmp_path, "algo-1", AT_S, [CPU])
    path = metrics_file(tmp_path, "algo-1", AT_S)
    size = path.stat().st_size
    with room_for(size + 50), pytest.raises(StorageError, match="the disk is full"):
        append_snapshot(tmp_path, "algo-1", AT_S, [CPU, MEMORY])
    assert path.stat().st_size == size
    append_snapshot(tmp_path, "algo-1", AT_S + 1, [MEMORY])
    assert [json.loads(line)["Type"] for line in path.read_text().splitlines()] == ["cpu", "memory"]


def test_what_is_being_written_is_read_when_it_is_whole(tmp_path: Path) -> None:
    append_snapshot(tmp_path, "algo-1", AT_S, [CPU])
    path = metrics_file(tmp_path, "algo-1", AT_S)
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:30])
    metrics = SystemMetrics(tmp_path)
    metrics.refresh()
    assert len(metrics.series("CPUUtilization", "cpu0")[0]) == 1
    path.write_bytes(whole + whole)
    assert metrics.refresh()
    assert len(metrics.series("CPUUtilization", "cpu0")[0]) == 2


def test_a_damaged_line_is_passed_over(tmp_path: Path) -> None:
    append_snapshot(tmp_path, "algo-1", AT_S, [CPU])
    path = metrics_file(tmp_path, "algo-1", AT_S)
    path.write_bytes(b'{"Type":"cpu"\n[]\n7\n' + path.read_bytes())
    metrics = SystemMetrics(tmp_path)
    metrics.refresh()
    assert metrics.keys == (("CPUUtilization", "cpu0"),)


def test_failures_are_read_once(tmp_path: Path) -> None:
    for text in ("one", "two", "one"):
        record_failure(tmp_path, text)
    metrics = SystemMetrics(tmp_path)
    assert metrics.refresh()
    assert metrics.failures == ("one", "two")
    assert not metrics.refresh()
    assert failures_file(tmp_path).parent == tmp_path / "system"


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "system").write_text("a file")
    with pytest.raises(StorageError, match="cannot be written"):
        append_snapshot(tmp_path, "algo-1", AT_S, [CPU])
    record_failure(tmp_path, "nobody hears it")


def test_the_original_reads_it(tmp_path: Path) -> None:
    ready = sorted(ORIGINAL.glob("smdebug-*/ready"))
    if not ready:
        pytest.skip("the original library is not installed")
    own = Metric("process", "CPUUtilization", "Process", 250.0)
    append_snapshot(tmp_path, "algo-1", AT_S, [CPU, MEMORY, DISK, own])
    append_snapshot(tmp_path, "algo-2", AT_S + 60, [CPU])
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(
        [
            str(ready[0].with_name("bin") / "python"),
            *("-c", READ_BY_THE_ORIGINAL, str(tmp_path)),
            *site.getsitepackages(),
        ],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == [
        ["cpu", "cpu0", "CPUUtilization", 97.5, "algo-1", AT_S],
        ["memory", "MemoryUsedPercent", "", 12.25, "algo-1", AT_S],
        ["i/o", "IOPS", "", 3.0, "algo-1", AT_S],
        ["process", "CPUUtilization", "Process", 250.0, "algo-1", AT_S],
        ["cpu", "cpu0", "CPUUtilization", 97.5, "algo-2", AT_S + 60],
    ]
