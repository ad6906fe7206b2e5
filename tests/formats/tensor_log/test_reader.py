"""Reading beside a writer, what the writer has damaged, and what a later version wrote."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open

from clary.errors import FormatError, StorageError, UsageError
from clary.formats.tensor_log import TensorLog, TensorLogWriter
from clary.formats.tensor_log.entries import Capture, Mode, RawTensor, Step
from clary.formats.tensor_log.layout import worker_order
from tests.formats.tensor_log.conftest import MakeCapture

WRITES = """
import sys
from pathlib import Path
import numpy as np
from clary.formats.tensor_log import TensorLogWriter
from clary.formats.tensor_log.entries import *
writer = TensorLogWriter(Path(sys.argv[1]), worker=sys.argv[2])
for number in range(400):
    writer.write(Capture(
        Step(number, Mode.TRAIN, number, 0.0), {"loss": float(number)},
        {f"w{i}": Statistics(4, mean=float(number)) for i in range(10)},
        raw={"weight": RawTensor.of(np.full(2000, number, np.float32))}))
    if number % 11 == 0:
        writer.flush()
writer.close()
"""


def test_a_reader_beside_two_writers_sees_whole_steps_only(tmp_path: Path) -> None:
    workers = ("worker_0", "worker_1")
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITES, str(tmp_path), worker])
        for worker in workers
    ]
    try:
        log = TensorLog(tmp_path)
        seen: dict[str, int] = dict.fromkeys(workers, 0)
        rounds = 0
        while not log.ended:
            log.refresh()
            rounds += 1
            for worker in workers:
                losses = log.scalars("loss", worker)
                assert list(losses) == list(range(len(losses)))
                assert len(losses) >= seen[worker]
                assert len(log.statistics("w9", worker)) == len(losses)
                seen[worker] = len(losses)
                if losses:
                    last = max(losses)
                    assert log.raw("weight", last, worker)[0] == last
        assert seen == dict.fromkeys(workers, 400)
        assert rounds > 1
    finally:
        for writer in writers:
            writer.wait()


def test_the_log_has_not_ended_while_one_worker_writes(
    tmp_path: Path, capture: MakeCapture
) -> None:
    first, second = (TensorLogWriter(tmp_path, worker=f"worker_{rank}") for rank in range(2))
    first.write(capture(0))
    second.write(capture(0))
    first.close()
    log = TensorLog(tmp_path)
    assert not log.ended
    second.close()
    assert log.refresh()
    assert log.ended


def test_the_end_of_the_training_ends_the_log_of_a_killed_worker(
    tmp_path: Path, capture: MakeCapture
) -> None:
    writer = TensorLogWriter(tmp_path)
    writer.write(capture(0))
    log = TensorLog(tmp_path)
    (tmp_path / "training_job_end.ts").write_text("")
    assert log.refresh()
    assert log.ended
    writer.close()


def test_a_copy_has_ended_when_the_last_segment_is_there(
    tmp_path: Path, capture: MakeCapture
) -> None:
    writer = TensorLogWriter(tmp_path)
    for number in range(2):
        writer.write(capture(number))
        writer.flush()
    writer.close()
    (tmp_path / "training_job_end.ts").write_text("")
    last = max((tmp_path / "statistics").glob("*.sqlite"))
    content = last.read_bytes()
    last.unlink()
    brought: list[str] = []
    log = TensorLog(tmp_path, fetch=brought.append)
    assert not log.ended
    last.write_bytes(content)
    assert log.refresh()
    assert (log.ended, len(log.steps())) == (True, 2)


def test_a_segment_that_somebody_removed_is_not_waited_for(
    tmp_path: Path, capture: MakeCapture
) -> None:
    writer = TensorLogWriter(tmp_path)
    for number in range(3):
        writer.write(capture(number))
        writer.flush()
    writer.close()
    max((tmp_path / "statistics").glob("*.sqlite")).unlink()
    assert TensorLog(tmp_path).ended
    (tmp_path / "training_job_end.ts").write_text("")
    os.utime(tmp_path / "training_job_end.ts", (0, 0))
    log = TensorLog(tmp_path, fetch=[].append)
    assert (log.ended, len(log.steps())) == (True, 2)


def test_files_of_no_worker_are_left_alone(tmp_path: Path, capture: MakeCapture) -> None:
    writer = TensorLogWriter(tmp_path)
    writer.write(capture(0))
    writer.close()
    for name in ("00000001-worker_0 (1).sqlite", ".00000002-a worker.live", "notes.txt"):
        (tmp_path / "statistics" / name).write_text("not a segment")
    assert TensorLog(tmp_path).workers == ("worker_0",)


def test_a_later_version_is_refused(tmp_path: Path, capture: MakeCapture) -> None:
    writer = TensorLogWriter(tmp_path)
    writer.write(capture(0))
    writer.close()
    (segment,) = (tmp_path / "statistics").glob("*.sqlite")
    database = sqlite3.connect(segment)
    database.execute("PRAGMA user_version = 2")
    database.close()
    with pytest.raises(FormatError, match=r"has version 2 .* newer Clary"):
        TensorLog(tmp_path)


def test_damage_is_told(tmp_path: Path, capture: MakeCapture) -> None:
    writer = TensorLogWriter(tmp_path)
    writer.write(capture(0, size=5000))
    writer.close()
    (tensors,) = tmp_path.rglob("*.safetensors")
    tensors.write_bytes(tensors.read_bytes()[:-1])
    log = TensorLog(tmp_path)
    with pytest.raises(FormatError, match=r"damaged .*cut off"):
        log.raw("big", 0)
    (segment,) = (tmp_path / "statistics").glob("*.sqlite")
    whole = segment.read_bytes()
    for content in (b"", whole[:100], b"\0" * len(whole)):
        segment.write_bytes(content)
        with pytest.raises(FormatError, match="remove it"):
            TensorLog(tmp_path)
    (tmp_path / "collections").mkdir(exist_ok=True)
    (tmp_path / "collections" / "worker_0.json").write_text('{"version": 1}')
    with pytest.raises(FormatError, match=r"worker_0.json is damaged"):
        TensorLog(tmp_path)


READS = """
import resource, sys
from pathlib import Path
from clary.debugger.history import History
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
history = History.open(Path(sys.argv[1]))
print(len(history.scalars("CrossEntropyLoss_output_0")))
"""


def test_a_long_log_takes_few_descriptors(tmp_path: Path, capture: MakeCapture) -> None:
    writer = TensorLogWriter(tmp_path)
    for number in range(80):
        writer.write(capture(number))
        writer.flush()
    writer.close()
    read = subprocess.run(
        [sys.executable, "-c", READS, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert (read.stdout, read.stderr) == ("80\n", "")


def test_nobody_is_told_to_remove_what_is_whole(tmp_path: Path, capture: MakeCapture) -> None:
    writer = TensorLogWriter(tmp_path)
    for number in range(40):
        writer.write(capture(number))
        writer.flush()
    writer.close()
    log = TensorLog(tmp_path)
    first, second = sorted((tmp_path / "statistics").glob("*.sqlite"))[:2]
    content = first.read_bytes()
    first.unlink()
    first.mkdir()
    with pytest.raises(StorageError, match=r"cannot be read \(Is a directory\)"):
        TensorLog(tmp_path)
    first.rmdir()
    with pytest.raises(FormatError, match="is gone"):
        log.scalars("CrossEntropyLoss_output_0")
    second.rename(first)
    with pytest.raises(FormatError, match=r"was replaced .* open the log again"):
        log.scalars("CrossEntropyLoss_output_0")
    second.write_bytes(content)
    assert len(TensorLog(tmp_path).scalars("CrossEntropyLoss_output_0")) == 40


def test_a_segment_names_no_file_outside_of_the_log(tmp_path: Path, capture: MakeCapture) -> None:
    writer = TensorLogWriter(tmp_path / "log")
    writer.write(capture(0, size=5000))
    writer.close()
    (segment,) = (tmp_path / "log" / "statistics").glob("*.sqlite")
    (tensors,) = tmp_path.rglob("*.safetensors")
    for name in (f"../{tensors.name}", str(tensors.rename(tmp_path / tensors.name))):
        with sqlite3.connect(segment) as database:
            database.execute("UPDATE raw SET file = ?", (name,))
        with pytest.raises(FormatError, match="outside of the log"):
            TensorLog(tmp_path / "log").raw("big", 0)


def test_the_library_reads_our_files_of_tensors(tmp_path: Path) -> None:
    arrays = {
        "float": np.random.default_rng(0).normal(size=(50, 30)).astype(np.float32),
        "long": np.arange(5000),
        "half": np.ones((40, 60), np.float16),
        "mask": np.arange(6000) % 3 == 0,
    }
    halves = RawTensor("bfloat16", (3000,), np.full(3000, 0x3FC0, "<u2").tobytes())
    complex_ = np.full(400, 1 + 2j)
    raw = {name: RawTensor.of(array) for name, array in arrays.items()}
    writer = TensorLogWriter(tmp_path)
    writer.write(
        Capture(
            Step(7, Mode.TRAIN, 7, 0.0),
            raw={**raw, "bf16": halves, "complex": RawTensor.of(complex_)},
        )
    )
    writer.close()
    path = tmp_path / "tensors" / "000000000007" / "worker_0.safetensors"
    with safe_open(path, framework="np") as file:
        for name, array in arrays.items():
            np.testing.assert_array_equal(file.get_tensor(name), array)
        assert file.get_slice("bf16").get_dtype() == "BF16"
        assert file.get_slice("bf16").get_shape() == [3000]
    log = TensorLog(tmp_path)
    assert log.raw("bf16", 7).tolist() == [1.5] * 3000
    np.testing.assert_array_equal(log.raw("complex", 7), complex_)


def test_any_array_of_numbers_can_be_kept_and_nothing_else() -> None:
    big_endian = np.arange(5, dtype=">i4")
    strided = np.arange(12.0).reshape(3, 4).T[::2]
    for array in (big_endian, strided, np.float32(3), [1, 2], True, np.zeros((0, 3))):
        np.testing.assert_array_equal(RawTensor.of(array).array(), np.asarray(array))
    for wrong in (["a"], [object()], np.array(["2020"], "M8[D]")):
        with pytest.raises(UsageError, match="numbers"):
            RawTensor.of(wrong)


def test_a_mode_is_called_what_the_original_calls_it() -> None:
    assert (str(Mode.TRAIN), f"{Mode.EVAL:>14}") == ("ModeKeys.TRAIN", " ModeKeys.EVAL")


@given(st.lists(st.integers(0, 200), unique=True))
@settings(max_examples=30)
def test_workers_stand_in_the_order_of_their_ranks(ranks: list[int]) -> None:
    workers = sorted((f"worker_{rank}" for rank in ranks), key=worker_order)
    assert workers == [f"worker_{rank}" for rank in sorted(ranks)]
    assert sorted(["2", "algo-1", "algo-10", "10"], key=worker_order)[0] == "2"
