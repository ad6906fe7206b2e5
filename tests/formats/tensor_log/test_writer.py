"""Killed, out of space, deleted, twice at once: what was written stays readable."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from clary.errors import StorageError, UsageError
from clary.formats.tensor_log import TensorLog, TensorLogWriter
from clary.formats.tensor_log.entries import (
    Capture,
    CollectionRecord,
    Mode,
    Statistics,
    Step,
)
from clary.formats.tensor_log.writer import seal_after_seconds
from tests.formats.tensor_log.conftest import MakeCapture

WRITES = textwrap.dedent(
    """
    import sys
    from pathlib import Path
    import numpy as np
    from clary.formats.tensor_log import TensorLogWriter
    from clary.formats.tensor_log.entries import *
    writer = TensorLogWriter(Path(sys.argv[1]))
    number = int(sys.argv[2])
    while True:
        weight = np.full(2000, number, np.float32)
        writer.write(Capture(
            Step(number, Mode.TRAIN, number, 0.0),
            {"loss": float(number)},
            {f"w{i}": Statistics(4, mean=float(number)) for i in range(20)},
            raw={"weight": RawTensor.of(weight)},
        ))
        print(number, flush=True)
        if number % 7 == 0:
            writer.flush()
        number += 1
    """
)


def killed_after(folder: Path, first: int, captures: int) -> int:
    """Write in a process, kill -9 it after some captures; the last it said it had written."""
    with subprocess.Popen(
        [sys.executable, "-c", WRITES, str(folder), str(first)], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        said = [process.stdout.readline() for _ in range(captures)]
        process.kill()
        said += process.stdout.readlines()
    return int([line for line in said if line.endswith(b"\n")][-1])


def check_killed(log: TensorLog, last: int) -> None:
    numbers = [step.number for step in log.steps()]
    # One more may be whole that the process had no time to speak of.
    assert numbers in (list(range(last + 1)), list(range(last + 2)))
    assert log.scalars("loss") == {number: float(number) for number in numbers}
    assert [held.mean for held in log.statistics("w19").values()] == numbers
    for number in numbers:
        assert log.raw("weight", number).tolist() == [number] * 2000


def test_kill_9_loses_nothing_that_was_written(tmp_path: Path) -> None:
    dice = random.Random(5)
    last = -1
    for _ in range(4):
        last = killed_after(tmp_path, last + 1, dice.randrange(1, 25))
        log = TensorLog(tmp_path)
        check_killed(log, last)
        assert not log.ended
        # The next process goes on behind what is there.
        last = log.steps()[-1].number
    with_writer = TensorLogWriter(tmp_path)
    check_killed(TensorLog(tmp_path), last)
    with_writer.close()
    log = TensorLog(tmp_path)
    check_killed(log, last)
    assert log.ended
    hidden = [path.name for path in tmp_path.rglob(".*") if path.name != ".worker_0.lock"]
    assert hidden == []


def test_a_line_that_a_kill_has_cut_off_is_left_out(tmp_path: Path, capture: MakeCapture) -> None:
    writer = TensorLogWriter(tmp_path)
    writer.write(capture(0))
    (live,) = (tmp_path / "statistics").glob(".*.live")
    content = live.read_bytes()
    writer.close()
    other = tmp_path / "other"
    (other / "statistics").mkdir(parents=True)
    for cut in range(0, 2 * len(content), 37):
        (other / "statistics" / live.name).write_bytes((content + content)[:cut])
        whole = [0] if cut >= len(content) else []
        assert [step.number for step in TensorLog(other).steps()] == whole
    TensorLogWriter(other).close()
    assert [step.number for step in TensorLog(other).steps()] == [0]


@pytest.mark.parametrize("cut", [0, 10])
@pytest.mark.parametrize("before", [0, 2])
def test_a_log_whose_last_line_was_lost_ends(
    cut: int, before: int, tmp_path: Path, capture: MakeCapture
) -> None:
    writer = TensorLogWriter(tmp_path)
    for number in range(before):
        writer.write(capture(number))
        writer.flush()
    writer.close()
    live = tmp_path / "statistics" / f".{before + 1:08}-worker_0.live"
    live.write_bytes(b'{"step": [1, 1, 1, 0.0]'[:cut])
    TensorLogWriter(tmp_path).close()
    assert json.loads((tmp_path / "ended" / "worker_0.json").read_text())["last_segment"] == before
    (tmp_path / "training_job_end.ts").write_text("")
    log = TensorLog(tmp_path, fetch=[].append)
    assert (log.ended, len(log.steps())) == (True, before)


FILLS = textwrap.dedent(
    """
    import resource, sys
    from pathlib import Path
    import numpy as np
    from clary.errors import StorageError
    from clary.formats.tensor_log import TensorLogWriter
    from clary.formats.tensor_log.entries import *
    folder, limit, size = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    writer = TensorLogWriter(folder)
    if limit:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    number = 0
    try:
        while number < 5000:
            writer.write(Capture(
                Step(number, Mode.TRAIN, number, 0.0), {"loss": float(number)},
                {f"w{i}": Statistics(4, mean=float(number)) for i in range(20)},
                raw={"weight": RawTensor.of(np.zeros(size))} if size else {}))
            number += 1
    except StorageError as error:
        writer.record_failure(str(error))
        print(number, error)
    try:
        writer.close()
    except StorageError:
        pass
    """
)


def fill(folder: Path, limit: int, size: int) -> tuple[int, str]:
    ended = subprocess.run(
        [sys.executable, "-c", FILLS, str(folder), str(limit), str(size)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    number, _, message = ended.stdout.partition(" ")
    return int(number), message


@pytest.mark.parametrize("size", [0, 1500, 50_000])
def test_a_full_disk_is_told_and_leaves_a_readable_log(size: int, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(disk)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("this machine lets nobody mount a small disk")
    try:
        written, message = fill(disk / "log", 0, size)
        assert "free some space" in message
        log = TensorLog(disk / "log")
        assert log.failures == (message.strip(),)
        assert [step.number for step in log.steps()][:written] == list(range(written))
        assert len(log.scalars("loss")) >= written
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_bound_on_file_sizes_is_a_full_disk(tmp_path: Path) -> None:
    written, message = fill(tmp_path, 20_000, 0)
    assert "free some space" in message
    log = TensorLog(tmp_path)
    assert list(log.scalars("loss")) == list(range(written))
    assert log.failures == (message.strip(),)


def test_a_log_ends_whose_disk_was_full_from_a_segment_on(
    tmp_path: Path, capture: MakeCapture
) -> None:
    script = (
        "import resource, sys\nfrom pathlib import Path\n"
        "from clary.formats.tensor_log import TensorLogWriter\n"
        "from clary.formats.tensor_log.entries import *\n"
        "writer = TensorLogWriter(Path(sys.argv[1]))\n"
        "writer.write(Capture(Step(0, Mode.TRAIN, 0, 0.0)))\nwriter.flush()\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))\n"
        "writer.write(Capture(Step(1, Mode.TRAIN, 1, 0.0)))\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert "free some space" in ended.stderr
    TensorLogWriter(tmp_path).close()
    log = TensorLog(tmp_path, fetch=[].append)
    assert (log.ended, len(log.steps())) == (True, 1)
    hidden = [path.name for path in tmp_path.rglob(".*") if path.name != ".worker_0.lock"]
    assert hidden == []


def test_a_deleted_folder_is_told(tmp_path: Path, capture: MakeCapture) -> None:
    folder = tmp_path / "log"
    writer = TensorLogWriter(folder)
    writer.write(capture(0))
    shutil.rmtree(folder)
    for number in (1, 2):
        with pytest.raises(StorageError, match="was deleted while it was written"):
            writer.write(capture(number))
    writer.record_failure("the folder is gone")
    with pytest.raises(StorageError):
        writer.close()
    assert TensorLog(folder).failures == ("the folder is gone",)


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="file"):
        TensorLogWriter(tmp_path / "file" / "log")


def test_one_worker_has_one_writer(tmp_path: Path, capture: MakeCapture) -> None:
    writer = TensorLogWriter(tmp_path)
    with pytest.raises(StorageError, match="another hook"):
        TensorLogWriter(tmp_path)
    other = TensorLogWriter(tmp_path, worker="worker_1")
    in_another_process = subprocess.run(
        [sys.executable, "-c", WRITES, str(tmp_path), "0"],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert "another hook" in in_another_process.stderr
    writer.write(capture(0))
    other.close()
    writer.close()
    again = TensorLogWriter(tmp_path)
    again.write(capture(1))
    again.close()
    assert [step.number for step in TensorLog(tmp_path).steps()] == [0, 1]


def test_a_forked_child_leaves_the_log_alone(tmp_path: Path, capture: MakeCapture) -> None:
    writer = TensorLogWriter(tmp_path)
    writer.write(capture(0))
    child = os.fork()
    if not child:
        try:
            writer.close()
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    assert not TensorLog(tmp_path).ended
    writer.write(capture(1))
    writer.close()
    assert [step.number for step in TensorLog(tmp_path).steps()] == [0, 1]


def test_a_child_that_outlives_the_writer_keeps_nobody_out(tmp_path: Path) -> None:
    script = (
        "import os, signal, sys, time\nfrom pathlib import Path\n"
        "from clary.formats.tensor_log import TensorLogWriter\n"
        "writer = TensorLogWriter(Path(sys.argv[1]))\n"
        "child = os.fork()\n"
        "if not child:\n    time.sleep(600)\n"
        "print(child, flush=True)\nos.kill(os.getpid(), signal.SIGKILL)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        child = int(process.stdout.readline())
        process.wait()
        try:
            TensorLogWriter(tmp_path).close()
        finally:
            os.kill(child, signal.SIGKILL)


def test_what_was_seen_becomes_a_segment_without_being_asked(
    tmp_path: Path, capture: MakeCapture
) -> None:
    writer = TensorLogWriter(tmp_path)
    number = 0
    while not list((tmp_path / "statistics").glob("*.sqlite")):
        writer.write(capture(number, loss=number))
        number += 1
    writer.close()
    assert len(TensorLog(tmp_path).scalars("CrossEntropyLoss_output_0")) == number


def test_nothing_waits_long_for_its_segment() -> None:
    ages = (0, 100, 3600, 36_000)
    assert [seal_after_seconds(age) for age in ages] == pytest.approx([2, 5, 120, 120])


def test_a_worker_needs_a_name_for_files(tmp_path: Path) -> None:
    for name in ("", "../worker", "a/b", ".hidden", "x" * 200):
        with pytest.raises(UsageError, match="worker_0"):
            TensorLogWriter(tmp_path, worker=name)


def test_collections_and_failures_are_read_back(tmp_path: Path) -> None:
    losses = CollectionRecord("losses", ("[Ll]oss",), ("loss",), {"save_interval": "5"})
    writer = TensorLogWriter(tmp_path, collections=[losses])
    log = TensorLog(tmp_path)
    assert log.collections == {"losses": losses}
    found = CollectionRecord("relu", (), ("layer1.relu_output_0",))
    writer.describe([losses, found])
    writer.record_failure("the queue is full\nof captures")
    assert log.refresh()
    assert log.collections == {"losses": losses, "relu": found}
    assert log.failures == ("the queue is full\nof captures",)
    writer.close()


def test_statistics_of_a_resnet_take_less_than_40_kb(tmp_path: Path) -> None:
    writer = TensorLogWriter(tmp_path)
    dice = random.Random(0)
    names = [f"{kind}ResNet_layer{i}.conv.weight" for kind in ("", "gradient/") for i in range(62)]
    statistics = {
        name: Statistics(10_000, 3, 0, 0, *(dice.gauss(0, 1) for _ in range(9))) for name in names
    }
    writer.write(Capture(Step(0, Mode.TRAIN, 0, 0.0), statistics=statistics))
    writer.close()
    (segment,) = (tmp_path / "statistics").glob("*.sqlite")
    assert segment.stat().st_size < 40_000
