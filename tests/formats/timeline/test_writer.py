"""Killed, out of space, forked, deleted: what was written stays readable."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from clary.errors import StorageError
from clary.formats.timeline import LoadRecord, LoadWriter, Span, TimelineWriter
from clary.formats.timeline import writer as writer_module
from clary.formats.timeline.reader import STEP_DTYPE, Timeline, Worker
from tests.formats.timeline.made import BEGIN_US, step

# The standard library alone: what a training without numpy would run, too.
WRITES = textwrap.dedent(
    """
    import sys
    from pathlib import Path
    from clary.formats.timeline import *
    writer, loads = TimelineWriter(Path(sys.argv[1])), LoadWriter(Path(sys.argv[1]))
    begin, number = 1_760_000_000_000_000, int(sys.argv[2])
    while True:
        moments = [begin + 100_000 * one for one in range(number, number + 10)]
        writer.write_steps([
            StepRecord(Mode.TRAIN, number + k, at, 0.1, 0.1) for k, at in enumerate(moments)])
        writer.write_span(Span("checkpoint", moments[0], moments[1], f"{number}" * 50))
        loads.write(LoadRecord(moments[0], 0.1, 32, 0))
        number += 10
        print(number, flush=True)
    """
)


def read(folder: Path) -> Worker:
    timeline = Timeline(folder)
    timeline.refresh()
    return timeline.workers["worker_0"]


def killed_after(folder: Path, first: int, rounds: int) -> int:
    """Write in a process, kill -9 it after some rounds; how many steps it said to have written."""
    with subprocess.Popen(
        [sys.executable, "-c", WRITES, str(folder), str(first)], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        said = [process.stdout.readline() for _ in range(rounds)]
        process.kill()
        said += process.stdout.readlines()
    return int([line for line in said if line.endswith(b"\n")][-1])


def test_kill_9_loses_nothing_that_was_written(tmp_path: Path) -> None:
    dice = random.Random(3)
    first = rounds = 0
    for run in range(1, 4):
        written = killed_after(tmp_path, first, dice.randrange(1, 60))
        rounds += (written - first) // 10
        worker = read(tmp_path)
        # What the process had no time to speak of may be there, too.
        found = worker.steps()["step"].tolist()
        assert found == list(range(len(found)))
        assert written <= len(found) <= written + 10
        assert rounds <= len(worker.spans) <= rounds + run
        assert rounds <= len(worker.loads()) <= rounds + run
        first = len(found)


def test_a_torn_tail_stays_behind_when_another_process_goes_on(tmp_path: Path) -> None:
    writer = TimelineWriter(tmp_path)
    writer.write_steps([step(0), step(1)])
    writer.write_span(Span("other", BEGIN_US, BEGIN_US + 1))
    writer.close()
    for file in (*writer.folder.glob("steps-*.bin"), *writer.folder.glob("spans-*.jsonl")):
        file.write_bytes(file.read_bytes()[:-7])
    again = TimelineWriter(tmp_path)
    again.write_steps([step(2)])
    again.write_span(Span("other", BEGIN_US + 2, BEGIN_US + 3))
    worker = read(tmp_path)
    assert worker.steps()["step"].tolist() == [0, 2]
    assert [span.start_us for span in worker.spans] == [BEGIN_US + 2]


FILLS = textwrap.dedent(
    """
    import resource, sys
    from pathlib import Path
    from clary.errors import StorageError
    from clary.formats.timeline import Mode, Span, StepRecord, TimelineWriter
    folder, limit = Path(sys.argv[1]), int(sys.argv[2])
    writer = TimelineWriter(folder)
    if limit:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    begin, number = 1_760_000_000_000_000, 0
    def write():
        global number
        moments = [begin + 100_000 * one for one in range(number, number + 3)]
        writer.write_steps([
            StepRecord(Mode.TRAIN, number + k, at, 0.1, 0.1) for k, at in enumerate(moments)])
        number += 3
        writer.write_span(Span("checkpoint", moments[0], moments[1]))
    try:
        while True:
            write()
    except StorageError as error:
        writer.record_failure(str(error))
        print(number, error, flush=True)
    sys.stdin.readline()
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
    write()
    writer.close()
    print(number, "written")
    """
)


def fill(folder: Path, limit: int, free: Path | None) -> None:
    """Write until nothing goes, then make room, and write once more."""
    with subprocess.Popen(
        [sys.executable, "-c", FILLS, str(folder), str(limit)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        number, _, message = process.stdout.readline().partition(" ")
        assert "free some space" in message
        worker = read(folder)
        steps = worker.steps()["step"].tolist()
        assert steps[: int(number)] == list(range(int(number)))
        assert worker.failures == (message.strip(),)
        if free is not None:
            free.unlink()
        after, _ = process.communicate("\n", timeout=60)
    assert after.endswith("written\n")
    last = int(after.split()[0])
    worker = read(folder)
    found = worker.steps()["step"].tolist()
    # What failed is missing as a whole: no record is half, twice or out of its place.
    assert found[-3:] == [last - 3, last - 2, last - 1]
    assert len(set(found)) == len(found)
    assert len(found) % 3 == 0
    assert np.allclose(worker.steps()["seconds"], 0.1)
    assert worker.spans[-1].start_us == BEGIN_US + 100_000 * (last - 3)


@pytest.mark.parametrize("size", [84, 100, 108])
def test_a_full_disk_is_told_and_left_readable(size: int, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}k", "tmpfs", str(disk)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("this machine lets nobody mount a small disk")
    try:
        free = disk / "free"
        free.write_bytes(bytes(64 << 10))
        fill(disk / "profiler", 0, free)
    finally:
        subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.parametrize("limit", [10, 16, 5000])
def test_a_bound_on_file_sizes_is_a_full_disk(limit: int, tmp_path: Path) -> None:
    folder = tmp_path / "profiler"
    TimelineWriter(folder).record_failure("before")
    (folder / "timeline" / "worker_0" / "failures.jsonl").unlink()
    if limit < 4096:
        # Not even the beginning of a file, nor the sentence: but what comes later is whole.
        with subprocess.Popen(
            [sys.executable, "-c", FILLS, str(folder), str(limit)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            after, _ = process.communicate("\n", timeout=60)
        assert after.endswith("3 written\n")
        assert read(folder).steps()["step"].tolist() == [0, 1, 2]
    else:
        fill(folder, limit, None)


def test_a_failure_behind_one_that_was_cut_off_is_read(tmp_path: Path) -> None:
    writer = TimelineWriter(tmp_path)
    writer.record_failure("one")
    file = writer.folder / "failures.jsonl"
    file.write_bytes(file.read_bytes() + b'{"at_us": 5, "te')
    writer.record_failure("two")
    assert read(tmp_path).failures == ("one", "two")


def test_a_forked_child_writes_files_of_its_own(tmp_path: Path) -> None:
    writer, loads = TimelineWriter(tmp_path), LoadWriter(tmp_path)
    writer.write_steps([step(0)])
    loads.write(LoadRecord(BEGIN_US, 0.1, 1, -1))
    child = os.fork()
    if not child:
        try:
            writer.write_steps([step(1)])
            loads.write(LoadRecord(BEGIN_US + 1, 0.1, 2, -1))
            writer.close()
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    writer.write_steps([step(2)])
    writer.close()
    assert len(list(writer.folder.glob("steps-*.bin"))) == 2
    worker = read(tmp_path)
    assert worker.steps()["step"].tolist() == [0, 1, 2]
    assert worker.loads()["pictures"].tolist() == [1, 2]


def test_two_processes_of_one_name_replace_nothing_of_each_other(tmp_path: Path) -> None:
    one, other = TimelineWriter(tmp_path), TimelineWriter(tmp_path)
    for number in range(6):
        (one if number % 2 else other).write_steps([step(number)])
        (one if number % 2 else other).write_span(Span("other", BEGIN_US + number, BEGIN_US + 9))
    one.close()
    other.close()
    worker = read(tmp_path)
    assert worker.steps()["step"].tolist() == list(range(6))
    assert len(worker.spans) == 6


def test_a_deleted_folder_is_told_once_and_made_anew(tmp_path: Path) -> None:
    writer = TimelineWriter(tmp_path / "profiler")
    writer.write_steps([step(0)])
    shutil.rmtree(tmp_path / "profiler")
    with pytest.raises(StorageError, match="it was deleted while it was written"):
        writer.write_steps([step(1)])
    writer.record_failure("the folder was deleted")
    writer.write_steps([step(2)])
    worker = read(tmp_path / "profiler")
    assert worker.steps()["step"].tolist() == [2]
    assert worker.failures == ("the folder was deleted",)


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="file"):
        TimelineWriter(tmp_path / "file" / "profiler")
    with pytest.raises(StorageError, match="file"):
        LoadWriter(tmp_path / "file" / "profiler")


def test_files_are_left_when_they_are_large_or_old(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = TimelineWriter(tmp_path)
    many = writer_module.ROTATE_BYTES // STEP_DTYPE.itemsize + 1
    writer.write_steps([step(number) for number in range(many)])
    writer.write_steps([step(many)])
    assert len(list(writer.folder.glob("steps-*.bin"))) == 2
    monkeypatch.setattr(writer_module, "ROTATE_S", 0.0)
    writer.write_steps([step(many + 1)])
    assert len(list(writer.folder.glob("steps-*.bin"))) == 3
    assert len(read(tmp_path).steps()) == many + 2


def test_nothing_hidden_stays_behind(tmp_path: Path) -> None:
    writer = TimelineWriter(tmp_path)
    writer.write_steps([step(0)])
    writer.close()
    writer.close()
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["steps-000001.bin"]
