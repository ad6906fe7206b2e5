"""Questions to a history: by mode, by worker, while it grows, from S3."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clary.debugger.history import History
from clary.errors import (
    FormatError,
    StatisticsOnly,
    StepNotYetAvailable,
    StepUnavailable,
    StorageError,
    TensorUnavailable,
    UsageError,
)
from clary.formats.tensor_log import TensorLog, TensorLogWriter
from clary.formats.tensor_log.entries import (
    Capture,
    CollectionRecord,
    Mode,
    RawTensor,
    Statistics,
    Step,
)
from tests.service.conftest import RunningService

LOSS = "CrossEntropyLoss_output_0"
ORIGINAL = Path(__file__).parent / "data" / "original" / "log"


def step(number: int) -> Step:
    """Two steps of training, one of validation, and so on."""
    epoch, place = divmod(number, 3)
    if place == 2:
        return Step(number, Mode.EVAL, epoch, 100.0 + number)
    return Step(number, Mode.TRAIN, 2 * epoch + place, 100.0 + number)


def capture(number: int, shift: float = 0.0) -> Capture:
    return Capture(
        step(number),
        scalars={LOSS: number / 10 + shift},
        statistics={"gradient/Net_fc.weight": Statistics(4, mean=number + shift)},
        raw={
            "Net_fc.weight": RawTensor.of(np.full((40, 40), number + shift, np.float32)),
            "relu_output_0": RawTensor.of(np.array([[[1.0, -1]], [[2, 3]]]) * (number + shift)),
        },
        shapes={"hidden": (2, number)},
    )


def write(folder: Path, numbers: range, worker: str = "worker_0", shift: float = 0.0) -> None:
    losses = CollectionRecord("losses", (), (LOSS,), {"save_interval": "1"})
    weights = CollectionRecord("weights", ("^(?!gradient).*weight",))
    writer = TensorLogWriter(folder, worker=worker, collections=[losses, weights])
    for number in numbers:
        writer.write(capture(number, shift))
    writer.close()


@pytest.fixture
def history(tmp_path: Path) -> History:
    write(tmp_path / "log", range(7))
    return History.open(tmp_path / "log")


def test_steps_go_by_mode(history: History) -> None:
    assert history.steps() == tuple(range(7))
    assert history.steps(Mode.TRAIN) == (0, 1, 2, 3, 4)
    assert history.steps(Mode.EVAL) == (0, 1)
    assert history.steps(Mode.PREDICT) == ()
    assert history.step_of(Mode.EVAL, 1) == 5
    assert history.mode_of(5) is Mode.EVAL
    assert history.at(4) == step(4)
    assert history.steps(Mode.EVAL, LOSS) == (0, 1)
    assert history.steps(Mode.EVAL, LOSS, "worker_1") == ()


def test_names_go_by_regex_collection_and_step(history: History) -> None:
    assert list(history.names()) == sorted(
        [LOSS, "Net_fc.weight", "gradient/Net_fc.weight", "hidden", "relu_output_0"]
    )
    assert list(history.names(regex="relu")) == ["relu_output_0"]
    assert list(history.names(collection="weights")) == ["Net_fc.weight"]
    assert list(history.names(collection="losses", step=1, mode=Mode.EVAL)) == [LOSS]
    assert list(history.names(mode=Mode.PREDICT)) == []
    assert history.names(mode=Mode.EVAL) == history.names()
    held = history.names()["Net_fc.weight"]
    assert (held.kinds, held.first_step, held.last_step) == ({"raw"}, 0, 6)
    assert history.collections["losses"].parameters == {"save_interval": "1"}


def test_values_go_by_mode(history: History) -> None:
    assert history.scalars(LOSS, Mode.EVAL) == {0: 0.2, 1: 0.5}
    assert history.scalars(LOSS, after=4) == {5: 0.5, 6: 0.6}
    assert history.scalars(LOSS, Mode.TRAIN, after=2, until=4) == {2: 0.3, 3: 0.4}
    assert history.value(LOSS, 1, Mode.EVAL) == 0.5
    assert history.value("Net_fc.weight", 1, Mode.EVAL).tolist() == [[5.0] * 40] * 40
    assert history.shape("Net_fc.weight", 0) == (40, 40)
    assert history.shape("hidden", 1, Mode.EVAL) == (2, 5)
    assert history.shape(LOSS, 0) == ()
    assert history.raw_steps("Net_fc.weight", Mode.EVAL) == (0, 1)


def test_statistics_cover_numbers_and_whole_tensors(history: History) -> None:
    gradients = history.statistics("gradient/Net_fc.weight", Mode.EVAL)
    assert {number: held.mean for number, held in gradients.items()} == {0: 2.0, 1: 5.0}
    weights = history.statistics("Net_fc.weight", after=5)
    assert list(weights) == [6]
    assert (weights[6].size, weights[6].mean, weights[6].std) == (1600, 6.0, 0.0)
    assert history.statistics(LOSS, Mode.EVAL)[1].max == 0.5
    assert history.reduction("gradient/Net_fc.weight", 1, "mean", Mode.EVAL) == 5.0
    assert history.reduction("relu_output_0", 2, "sum", absolute=True) == pytest.approx(14.0)
    positive = history.units("relu_output_0", "positive", Mode.EVAL)
    assert {number: held.tolist() for number, held in positive.items()} == {0: [0.75], 1: [0.75]}
    means = history.units("relu_output_0", "channel_means", after=5)
    assert {number: held.tolist() for number, held in means.items()} == {6: [[0.0], [15.0]]}
    assert history.units("relu_output_0", "active") == {}


def test_what_is_not_there_is_told(history: History) -> None:
    with pytest.raises(TensorUnavailable, match="names"):
        history.value("nothing", 0)
    with pytest.raises(StatisticsOnly, match="save_raw_tensor"):
        history.value("gradient/Net_fc.weight", 0)
    with pytest.raises(StepUnavailable, match="the last one saved is 6"):
        history.value(LOSS, 7)
    with pytest.raises(TensorUnavailable, match="save_shape"):
        history.shape("gradient/Net_fc.weight", 0)
    with pytest.raises(KeyError):
        history.reduction(LOSS, 0, "median")
    assert history.scalars("nothing") == {}


def test_a_file_that_somebody_deleted_is_told(tmp_path: Path, history: History) -> None:
    (tmp_path / "log" / "tensors" / f"{3:012}" / "worker_0.safetensors").unlink()
    with pytest.raises(FormatError, match="is gone"):
        history.value("Net_fc.weight", 3)
    assert history.value("Net_fc.weight", 4).shape == (40, 40)


def test_each_worker_can_be_asked(tmp_path: Path) -> None:
    for rank in (10, 2, 0):
        write(tmp_path, range(3), f"worker_{rank}", shift=rank)
    write(tmp_path, range(3, 4), "worker_2", shift=2)
    history = History.open(tmp_path)
    assert history.workers == ("worker_0", "worker_2", "worker_10")
    assert history.scalars(LOSS) == {0: 0.0, 1: 0.1, 2: 0.2, 3: 2.3}
    assert history.scalars(LOSS, Mode.EVAL, "worker_10") == {0: 10.2}
    assert history.value("Net_fc.weight", 0)[0, 0] == 0
    assert history.value("Net_fc.weight", 0, worker="worker_10")[0, 0] == 10
    assert history.names()[LOSS].workers == ("worker_0", "worker_2", "worker_10")
    ranks = (0, 2, 10, 11)
    assert [history.last_step(f"worker_{rank}") for rank in ranks] == [2, 3, 2, -1]
    with pytest.raises(TensorUnavailable, match="was not saved"):
        history.value(LOSS, 3, worker="worker_0")


def test_a_log_that_grows_is_followed(tmp_path: Path) -> None:
    history = History.open(tmp_path / "log")
    assert (history.steps(), history.ended, history.refresh()) == ((), False, False)
    with pytest.raises(StepNotYetAvailable):
        history.step_of(Mode.TRAIN, 0)

    def train() -> None:
        writer = TensorLogWriter(tmp_path / "log")
        for number in (0, 1, 2, 4):
            time.sleep(0.05)
            writer.write(capture(number))
        writer.close()

    thread = threading.Thread(target=train)
    thread.start()
    assert history.wait_for(0, Mode.EVAL) == 2
    with pytest.raises(StepUnavailable):
        history.wait_for(3)
    with pytest.raises(StepUnavailable):
        history.wait_for(9)
    thread.join()
    assert history.ended
    assert history.steps() == (0, 1, 2, 4)


def test_tensors_of_one_mode_alone_are_found(tmp_path: Path) -> None:
    writer = TensorLogWriter(tmp_path)
    for number in range(6):
        writer.write(Capture(step(number), {f"{step(number).mode.name}_loss": 1.0}))
        if number == 3:
            writer.flush()
    history = History.open(tmp_path)
    assert list(history.names(mode=Mode.TRAIN)) == ["TRAIN_loss"]
    assert list(history.names(mode=Mode.EVAL)) == ["EVAL_loss"]
    assert history.names()["EVAL_loss"].modes == {Mode.EVAL}
    writer.close()


def test_steps_come_in_any_order(tmp_path: Path) -> None:
    history = History.open(tmp_path)
    for rank, numbers in ((1, (5, 1, 2)), (0, (4, 0, 1, 7))):
        writer = TensorLogWriter(tmp_path, worker=f"worker_{rank}")
        for number in numbers:
            writer.write(capture(number))
            history.refresh()
        writer.close()
    assert history.steps() == (0, 1, 2, 4, 5, 7)
    assert history.steps(after=2) == (4, 5, 7)
    assert history.steps(Mode.TRAIN) == (0, 1, 3, 5)
    assert history.steps(Mode.EVAL, after=2) == (1,)
    assert history.step_of(Mode.TRAIN, 5) == 7


def test_a_refresh_reads_what_is_new_alone(tmp_path: Path) -> None:
    write(tmp_path, range(50), "worker_0")
    log = TensorLog(tmp_path)
    assert len(log.arrived(0)) == 50
    writer = TensorLogWriter(tmp_path, worker="worker_1")
    for number in (7, 60, 55):
        writer.write(capture(number))
        log.refresh()
    assert [step.number for step in log.arrived(50)] == [60, 55]
    writer.close()
    assert log.refresh()
    assert len(log.arrived(52)) == 0


def test_a_log_without_steps_is_news_once(tmp_path: Path) -> None:
    history = History.open(tmp_path)
    writer = TensorLogWriter(tmp_path)
    assert not history.refresh()
    writer.record_failure("nothing could be captured")
    writer.close()
    assert history.refresh()
    assert (history.failures, history.ended) == (("nothing could be captured",), True)
    assert not history.refresh()


def test_waiting_has_an_end(tmp_path: Path) -> None:
    with pytest.raises(StepNotYetAvailable, match="not there yet"):
        History.open(tmp_path).wait_for(0, timeout_seconds=0.01)


def test_reading_needs_neither_torch_nor_boto3(tmp_path: Path) -> None:
    script = (
        "import sys; from clary.debugger.history import History; History.open(sys.argv[1]);"
        "print(sorted({'torch', 'pydantic', 'boto3', 'botocore'} & set(sys.modules)))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert ended.stdout == "[]\n"


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    running = RunningService(tmp_path_factory.mktemp("service") / "home")
    running.start()
    try:
        client = running.client("s3")
        client.create_bucket(Bucket="tensors")
        yield client
    finally:
        running.stop()


def upload(s3: Any, folder: Path, prefix: str) -> None:
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            s3.upload_file(str(path), "tensors", f"{prefix}/{path.relative_to(folder)}")


def test_s3_is_read_while_it_grows_and_large_tensors_when_asked_for(
    s3: Any, tmp_path: Path
) -> None:
    history = History.open("s3://tensors/job/debug-output/", s3)
    assert not history.refresh()
    writer = TensorLogWriter(tmp_path)
    for number in range(4):
        writer.write(capture(number))
    writer.flush()
    writer.write(capture(4))
    upload(s3, tmp_path, "job/debug-output")
    assert history.refresh()
    assert not history.refresh()
    # The live file was uploaded too, but is nobody's business.
    assert history.steps() == (0, 1, 2, 3)
    writer.close()
    upload(s3, tmp_path, "job/debug-output")
    assert history.refresh()
    assert (history.steps(), history.ended) == ((0, 1, 2, 3, 4), True)
    assert history.scalars(LOSS, Mode.TRAIN) == {0: 0.0, 1: 0.1, 2: 0.3, 3: 0.4}
    copy = Path(history.folder)
    assert not list(copy.rglob("*.safetensors"))
    assert history.value("Net_fc.weight", 3)[0, 0] == 3
    assert len(list(copy.rglob("*.safetensors"))) == 1
    del history
    assert not copy.exists()


def test_the_original_librarys_files_are_read_from_s3(s3: Any) -> None:
    upload(s3, ORIGINAL, "original")
    history = History.open("s3://tensors/original", s3)
    assert history.steps(Mode.TRAIN, LOSS) == (0, 2, 4, 6)
    assert not list(history.folder.rglob("*.tfevents"))
    assert history.value(LOSS, 0, Mode.TRAIN) == pytest.approx(1.1246121)
    assert history.ended


def test_s3_that_refuses_is_told(s3: Any) -> None:
    with pytest.raises(StorageError, match="NoSuchBucket"):
        History.open("s3://nobody-has-this/log", s3)
    with pytest.raises(UsageError, match="BUCKET"):
        History.open("s3://", s3)
