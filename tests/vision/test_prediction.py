from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from clary.errors import FormatError, UsageError
from clary.formats.model_archive import ModelDescription, pack_model
from clary.vision.hardware import choose_hardware
from clary.vision.models import build_classifier, load_model, save_model
from clary.vision.prediction import Encoded, Predictor, predict
from clary.vision.torch_network import TorchNetwork

CLASSES = ("ant", "bee", "cat")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    classifier, preprocessing, _ = build_classifier(
        "resnet18", CLASSES, weights="none", image_size=32
    )
    description = ModelDescription(
        architecture=classifier.architecture, classes=CLASSES, preprocessing=preprocessing
    )
    save_model(folder, classifier, description)
    return folder


def test_files_bytes_and_arrays_keep_their_order(model: Path, picture_folder) -> None:
    from clary.vision.decoding import decode_picture

    paths = sorted(picture_folder(classes=2, per_class=3).rglob("*.jpg"))
    content = paths[1].read_bytes()
    pictures = [paths[0], Encoded("mine", content), decode_picture(content, "x"), str(paths[2])]
    found = predict(model, pictures)
    assert [prediction.name for prediction in found] == [
        str(paths[0]),
        "mine",
        "picture 2",
        str(paths[2]),
    ]
    assert found[1].ranked == found[2].ranked
    for prediction in found:
        values = [value for _, value in prediction.ranked]
        assert values == sorted(values, reverse=True)
        assert sum(values) == pytest.approx(1, abs=1e-5)
        assert {label for label, _ in prediction.ranked} == set(CLASSES)
        assert (prediction.label, prediction.probability) == prediction.ranked[0]


def test_a_picture_that_cannot_be_read_has_a_row(model: Path, picture_folder, tmp_path) -> None:
    good = sorted(picture_folder(classes=1, per_class=2).rglob("*.jpg"))
    cut = tmp_path / "cut.jpg"
    cut.write_bytes(good[0].read_bytes()[:300])
    wrong = np.zeros((4, 4), np.uint8)
    found = predict(model, [good[0], cut, tmp_path / "none.jpg", wrong, good[1]], top=1)
    assert [prediction.error is None for prediction in found] == [True, False, False, False, True]
    assert "cut.jpg" in found[1].error
    assert "No such file" in found[2].error
    assert "shape (4, 4)" in found[3].error
    assert found[1].label is None
    assert len(found[0].ranked) == 1


def test_batches_do_not_change_the_answers(model: Path) -> None:
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (40 + k, 50, 3), dtype=np.uint8) for k in range(7)]
    predictor = Predictor.load(model, batch_size=3, workers=2)
    whole = Predictor.load(model).probabilities(images)
    assert np.allclose(predictor.probabilities(images), whole, atol=1e-5)
    for prediction, row in zip(predictor.predict(images), whole, strict=True):
        assert dict(prediction.ranked) == pytest.approx(
            dict(zip(CLASSES, row.tolist(), strict=True)), abs=1e-5
        )
    assert predictor.probabilities([]).shape == (0, 3)
    classifier, description = load_model(model)
    lower = Predictor(TorchNetwork(classifier, description, precision="bf16")).probabilities(images)
    assert np.abs(lower - whole).max() < 0.05


@pytest.mark.parametrize("device", ["gpu", "cuda:99", "cuda:", "cuda:x", "mps", "", "cpu:0"])
def test_a_device_that_is_not_here_is_one_sentence(model: Path, device: str) -> None:
    with pytest.raises(UsageError, match=r"--device is .*: give .*cpu") as caught:
        Predictor.load(model, device=device)
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_cuda_is_refused_and_bf16_only_taken_when_native(model: Path) -> None:
    with pytest.raises(UsageError, match="torch finds 0 GPUs here: give cpu"):
        Predictor.load(model, device="cuda")
    if choose_hardware("auto").bf16:
        Predictor.load(model, precision="bf16")
    else:
        with pytest.raises(UsageError, match="has no bf16 instructions"):
            Predictor.load(model, precision="bf16")


def test_an_endless_source_is_read_no_further_than_needed(model: Path) -> None:
    taken = 0

    def endless() -> Iterator[np.ndarray]:
        nonlocal taken
        for number in itertools.count():
            taken += 1
            yield np.full((32, 32, 3), number % 256, np.uint8)

    predictor = Predictor.load(model, batch_size=4, workers=2)
    stream = predictor.predict(endless())
    assert [prediction.name for prediction in itertools.islice(stream, 6)] == [
        f"picture {k}" for k in range(6)
    ]
    assert taken <= 4 * 4
    stream.close()


def test_archives_answer_like_folders_and_missing_ones_are_said(model: Path, tmp_path) -> None:
    pack_model(model, tmp_path / "model.tar.gz")
    image = np.zeros((32, 32, 3), np.uint8)
    assert predict(tmp_path / "model.tar.gz", [image]) == predict(str(model), [image])
    with pytest.raises(FormatError, match="there is no model"):
        predict(tmp_path / "none", [image])
