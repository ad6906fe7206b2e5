"""The runtime of GPUs, on the CPU: what differs there is the device and that it is compiled."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from clary.endpoint.runtimes.torch_runtime import TorchRuntime
from clary.errors import UsageError
from clary.vision.geometry import EvaluationTransform
from clary.vision.prediction import Predictor


def noise(count: int, side: int) -> np.ndarray:
    return np.random.default_rng(count).integers(0, 256, (count, side, side, 3), dtype=np.uint8)


@pytest.mark.parametrize("count", [1, 3, 4, 11])
def test_it_answers_as_the_predictor(saved_model, count):
    runtime = TorchRuntime(saved_model, "fp32", max_batch=6, device="cpu")
    assert runtime.name == "torch fp32 on cpu"
    pictures = noise(count, 70)
    expected = Predictor.load(saved_model, device="cpu").probabilities(list(pictures))
    transform = EvaluationTransform(runtime.preprocessing)
    crops = np.stack([transform(picture) for picture in pictures])
    (stream,) = runtime.streams(1)
    answers = stream.probabilities(crops)
    assert answers.shape == (count, 3) and answers.dtype == np.float32
    assert np.abs(answers - expected).max() < 1e-3


def test_bf16_is_near(saved_model):
    try:
        runtime = TorchRuntime(saved_model, "bf16", max_batch=4, device="cpu")
    except UsageError as error:
        pytest.skip(str(error))
    exact = TorchRuntime(saved_model, "fp32", max_batch=4, device="cpu")
    crops = noise(4, runtime.preprocessing.image_size)
    reduced, whole = (one.streams(1)[0].probabilities(crops) for one in (runtime, exact))
    assert np.abs(reduced - whole).max() < 0.1
    assert np.abs(reduced.sum(axis=1) - 1).max() < 1e-3


def test_streams_share_the_network(saved_model):
    runtime = TorchRuntime(saved_model, "fp32", max_batch=4, device="cpu")
    crops = noise(8, runtime.preprocessing.image_size)
    streams = runtime.streams(3)
    expected = streams[0].probabilities(crops)
    found: list[float] = []

    def ask(number: int) -> None:
        for start in range(0, 8, 2):
            answers = streams[number].probabilities(crops[start : start + 2])
            found.append(float(np.abs(answers - expected[start : start + 2]).max()))

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 12 and max(found) < 1e-4


def test_int8_is_the_processors(saved_model):
    with pytest.raises(UsageError, match="int8, which only runs on the CPU"):
        TorchRuntime(saved_model, "int8", max_batch=4, device="cpu")
