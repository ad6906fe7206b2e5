"""Event files that the real TensorBoard reads."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clary.debugger.history import History
from clary.debugger.tensorboard import write_event_files
from clary.formats.tensor_log import TensorLogWriter
from clary.formats.tensor_log.entries import (
    Capture,
    Histogram,
    Mode,
    RawTensor,
    Statistics,
    Step,
)
from tests.clients.environments import ClientEnvironment, client_environment

READS = """
import json, sys
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
found = {}
for folder in sys.argv[1:]:
    events = EventAccumulator(folder, size_guidance={"scalars": 0, "histograms": 0})
    events.Reload()
    tags = events.Tags()
    found[folder.rsplit("/", 1)[1]] = {
        "scalars": {
            tag: [[e.step, e.value, e.wall_time] for e in events.Scalars(tag)]
            for tag in tags["scalars"]
        },
        "histograms": {
            tag: [[h.step, list(h.histogram_value.bucket), list(h.histogram_value.bucket_limit),
                   h.histogram_value.num, h.histogram_value.sum] for h in events.Histograms(tag)]
            for tag in tags["histograms"]
        },
    }
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def tensorboard() -> ClientEnvironment:
    return client_environment("tensorboard")


def read(tensorboard: ClientEnvironment, folder: Path) -> dict[str, Any]:
    folders = [str(path) for path in sorted(folder.iterdir())]
    ended = subprocess.run(
        [tensorboard.python, "-c", READS, *folders], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    found: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return found


def test_tensorboard_reads_losses_statistics_and_histograms(
    tmp_path: Path, tensorboard: ClientEnvironment
) -> None:
    writer = TensorLogWriter(tmp_path / "log")
    for number in range(6):
        mode = Mode.EVAL if number % 3 == 2 else Mode.TRAIN
        writer.write(
            Capture(
                Step(number, mode, number, 1_700_000_000.0 + number),
                {"loss": 1.0 / (1 + number)},
                {
                    "weight": Statistics(
                        8,
                        1,
                        0,
                        0,
                        -1.0,
                        1.0,
                        0.25,
                        0.5,
                        l2=2.0,
                        histogram=Histogram(-1.0, 1.0, (1, 2, 3, number)),
                    )
                },
                raw={"kept": RawTensor.of(np.arange(4.0))},
            )
        )
    writer.close()
    files = write_event_files(History.open(tmp_path / "log"), tmp_path / "runs")
    assert [path.parent.name for path in files] == ["TRAIN", "EVAL"]
    found = read(tensorboard, tmp_path / "runs")
    assert [step for step, _, _ in found["TRAIN"]["scalars"]["loss"]] == [0, 1, 3, 4]
    assert found["EVAL"]["scalars"]["loss"] == [
        [2, pytest.approx(1 / 3), 1_700_000_002.0],
        [5, pytest.approx(1 / 6), 1_700_000_005.0],
    ]
    assert [value for _, value, _ in found["TRAIN"]["scalars"]["weight/mean"]] == [0.25] * 4
    assert [value for _, value, _ in found["EVAL"]["scalars"]["kept/mean"]] == [1.5] * 2
    _, buckets, limits, total, added = found["EVAL"]["histograms"]["weight"][0]
    assert (buckets, limits) == ([0.0, 1.0, 2.0, 3.0, 2.0], [-1.0, -0.5, 0.0, 0.5, 1.0])
    assert (total, added) == (8.0, 2.0)


def test_what_the_original_library_wrote_can_be_exported(
    tmp_path: Path, tensorboard: ClientEnvironment
) -> None:
    original = Path(__file__).parent / "data" / "original" / "log"
    write_event_files(History.open(original), tmp_path / "runs")
    found = read(tensorboard, tmp_path / "runs")
    losses = found["TRAIN"]["scalars"]["CrossEntropyLoss_output_0"]
    assert [step for step, _, _ in losses] == [0, 2, 6, 8]
    assert losses[0][1] == pytest.approx(1.1246121)
    assert "gradient/Net_fc.weight/min" in found["TRAIN"]["scalars"]


def test_a_number_that_is_too_large_becomes_infinite(
    tmp_path: Path, tensorboard: ClientEnvironment
) -> None:
    writer = TensorLogWriter(tmp_path / "log")
    weight = Statistics(2, min=-1e300, l2=1e300)
    writer.write(Capture(Step(0, Mode.TRAIN, 0, 1.0), statistics={"weight": weight}))
    writer.close()
    write_event_files(History.open(tmp_path / "log"), tmp_path / "runs")
    scalars = read(tensorboard, tmp_path / "runs")["TRAIN"]["scalars"]
    assert (scalars["weight/l2"][0][1], scalars["weight/min"][0][1]) == (math.inf, -math.inf)


EXPORTS = """
import sys
from pathlib import Path
if sys.argv[3] == "bare":
    sys.modules["anycrc"] = None
opened = []
sys.addaudithook(lambda event, about: event == "open" and opened.append(str(about[0])))
from clary.debugger.history import History
from clary.debugger.tensorboard import write_event_files
write_event_files(History.open(sys.argv[1]), Path(sys.argv[2]))
print(sum(path.endswith(".safetensors") for path in opened))
"""


def test_an_interpreter_with_numpy_alone_writes_the_same(tmp_path: Path) -> None:
    original = Path(__file__).parent / "data" / "original" / "log"
    for kind in ("bare", "full"):
        command = [sys.executable, "-c", EXPORTS, str(original), str(tmp_path / kind), kind]
        subprocess.run(command, check=True)
    bare, full = (sorted((tmp_path / kind).rglob("events*")) for kind in ("bare", "full"))
    assert len(full) == 2
    assert [path.read_bytes() for path in bare] == [path.read_bytes() for path in full]


def test_each_tensor_is_read_once(tmp_path: Path) -> None:
    writer = TensorLogWriter(tmp_path / "log")
    for number, mode in enumerate((Mode.TRAIN, Mode.EVAL, Mode.PREDICT)):
        raw = {"weight": RawTensor.of(np.full(3000, number, np.float32))}
        writer.write(Capture(Step(number, mode, 0, 1.0), raw=raw))
    writer.close()
    command = [sys.executable, "-c", EXPORTS, str(tmp_path / "log"), str(tmp_path / "runs"), "full"]
    read = subprocess.run(command, capture_output=True, text=True, check=True)
    assert read.stdout == "3\n"
