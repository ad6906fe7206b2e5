from __future__ import annotations

import fcntl
import os
import shutil
import threading
from pathlib import Path

import numpy as np
import openvino
import pytest

from clary.endpoint.runtimes import open_runtime
from clary.endpoint.runtimes.openvino_runtime import OpenVINORuntime
from clary.errors import FormatError, UsageError
from clary.formats.converted_model import LOCK_FILE, Agreement
from clary.vision.geometry import EvaluationTransform
from clary.vision.prediction import Predictor

CLASSES = ("ant", "bee", "été")
BF16 = "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


@pytest.fixture(autouse=True)
def without_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")


def photos(count: int) -> list[np.ndarray]:
    rng = np.random.default_rng(count)
    sizes = [(rng.integers(30, 200), rng.integers(30, 200)) for _ in range(count)]
    coarse = [rng.integers(0, 256, (5, 7, 3), dtype=np.uint8) for _ in sizes]
    return [
        picture[np.arange(height) * 5 // height][:, np.arange(width) * 7 // width]
        for picture, (height, width) in zip(coarse, sizes, strict=True)
    ]


def cropped(pictures, preprocessing) -> np.ndarray:
    return np.stack([EvaluationTransform(preprocessing)(picture) for picture in pictures])


@pytest.mark.parametrize("count", [1, 2, 5, 8])
def test_fp32_answers_as_the_predictor(asked, saved_model, count):
    runtime = open_runtime(asked(precision="fp32"))
    assert runtime.name == "openvino fp32"
    assert runtime.classes == CLASSES
    (stream,) = runtime.streams(1)
    pictures = photos(count)
    expected = Predictor.load(saved_model, device="cpu").probabilities(pictures)
    answers = stream.probabilities(cropped(pictures, runtime.preprocessing))
    assert answers.shape == (count, 3) and answers.dtype == np.float32
    assert np.abs(answers - expected).max() < 1e-3
    assert expected.max(axis=1).mean() > 0.5  # answers that a wrong pixel would change


@pytest.mark.parametrize(("agreement", "bf16"), [(1.0, BF16), (0.95, BF16), (0.9, False)])
def test_auto_is_fp32_for_a_model_that_bf16_changes(asked, tmp_path, agreement, bf16):
    folder = shutil.copytree(asked().converted, tmp_path / "converted")
    Agreement(split="test", judged=100, agreement=agreement).write(folder)
    settings = asked(converted=str(folder))
    assert open_runtime(settings).name == ("openvino bf16" if bf16 else "openvino fp32")
    if BF16:
        forced = settings.model_copy(update={"precision": "bf16"})
        assert open_runtime(forced).name == "openvino bf16"


def test_auto_is_near_fp32(asked, saved_model):
    runtime = open_runtime(asked())
    assert runtime.name == ("openvino bf16" if BF16 else "openvino fp32")
    (stream,) = runtime.streams(1)
    pictures = photos(6)
    expected = Predictor.load(saved_model, device="cpu").probabilities(pictures)
    answers = stream.probabilities(cropped(pictures, runtime.preprocessing))
    assert np.abs(answers - expected).max() < 0.1
    assert np.abs(answers.sum(axis=1) - 1).max() < 1e-3


@pytest.mark.parametrize("together", [1, 2, 3, 50])
def test_pieces_of_any_length_answer_alike(asked, together):
    runtime = OpenVINORuntime(Path(asked().converted), "fp32")
    crops = cropped(photos(7), runtime.preprocessing)
    expected = runtime.streams(1)[0].probabilities(crops)
    runtime.batch_wanted = together
    answers = runtime.streams(1)[0].probabilities(crops)
    assert answers.shape == (7, 3)
    assert np.abs(answers - expected).max() < 1e-5


def test_an_answer_does_not_change_with_the_next_one(asked):
    runtime = open_runtime(asked(precision="fp32"))
    (stream,) = runtime.streams(1)
    first, second = (cropped(photos(2)[k : k + 1], runtime.preprocessing) for k in (0, 1))
    answer = stream.probabilities(first)
    before = answer.copy()
    stream.probabilities(second)
    assert np.array_equal(answer, before)


def test_streams_answer_side_by_side(asked):
    runtime = open_runtime(asked(precision="fp32"))
    crops = cropped(photos(24), runtime.preprocessing)
    whole = runtime.whole()
    streams = runtime.streams(3) + ([] if whole is None else [whole])
    expected = streams[0].probabilities(crops)
    wrong: list[int] = []

    def ask(number: int) -> None:
        rng = np.random.default_rng(number)
        for _ in range(20):
            start = int(rng.integers(0, 20))
            count = int(rng.integers(1, 5))
            answers = streams[number].probabilities(crops[start : start + count])
            if np.abs(answers - expected[start : start + count]).max() > 1e-5:
                wrong.append(start)

    numbers = range(len(streams))
    threads = [threading.Thread(target=ask, args=(number,)) for number in numbers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_slice_of_an_array_is_read_right(asked):
    runtime = open_runtime(asked(precision="fp32"))
    (stream,) = runtime.streams(1)
    crops = cropped(photos(4), runtime.preprocessing)
    mirrored = crops[:, :, ::-1]
    expected = stream.probabilities(np.ascontiguousarray(mirrored))
    assert np.array_equal(stream.probabilities(mirrored), expected)


def test_int8_that_was_not_calibrated_is_refused(asked):
    with pytest.raises(UsageError, match="was not calibrated on pictures"):
        open_runtime(asked(precision="int8"))


def test_a_model_that_was_not_converted_is_refused(asked, tmp_path):
    with pytest.raises(FormatError, match="has not been converted"):
        open_runtime(asked(converted=None))
    with pytest.raises(FormatError, match="holds no converted network"):
        open_runtime(asked(converted=str(tmp_path)))


def test_a_damaged_network_is_one_sentence(converted, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(converted.folder, folder)
    (folder / "fp32.xml").write_text("<net")
    with pytest.raises(FormatError, match="cannot be read"):
        OpenVINORuntime(folder, "fp32")


@pytest.mark.skipif(BF16, reason="this processor computes in bf16")
def test_bf16_is_refused_where_it_would_be_emulated(converted):
    with pytest.raises(UsageError, match="no bf16 instructions"):
        OpenVINORuntime(converted.folder, "bf16")


def test_a_model_that_is_served_is_not_evicted(converted, tmp_path):
    folder = tmp_path / "served" / converted.folder.name
    shutil.copytree(converted.folder, folder)
    lock = Path(f"{folder}.lock")
    lock.touch()
    os.utime(lock, (0, 0))
    runtime = OpenVINORuntime(folder, "fp32")
    with lock.open("ab") as file, pytest.raises(BlockingIOError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    assert lock.stat().st_mtime > 0
    del runtime
    with lock.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_no_network_is_read_while_another_is_put_in_its_place(asked):
    settings = asked()
    opened: list[object] = []
    with (Path(settings.converted) / LOCK_FILE).open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        thread = threading.Thread(target=lambda: opened.append(open_runtime(settings)))
        thread.start()
        thread.join(0.5)
        assert not opened
    thread.join(60)
    assert len(opened) == 1
