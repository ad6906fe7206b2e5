from __future__ import annotations

import os

import numpy as np
import pytest

from clary.errors import DataError
from clary.formats.preprocessing import Preprocessing
from clary.vision.evaluation import evaluate_logits, evaluate_split

CLASSES = ("ant", "bee", "wasp")


def made(count: int = 60):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, count)
    logits = rng.normal(size=(count, 3)) + 2.5 * np.eye(3)[labels]
    return logits.astype(np.float32), labels


def test_the_figures_hang_together():
    logits, labels = made()
    result = evaluate_logits(logits, labels, CLASSES, temperature=2.0)
    assert result.pictures == 60
    assert result.right == (logits.argmax(1) == labels).sum()
    assert result.interval[0] < result.accuracy < result.interval[1]
    assert (result.top_k, result.top_k_accuracy) == (3, 1.0)
    assert sum(count for _, _, count in result.confusion) == 60
    assert sum(row.support for row in result.classes) == 60
    assert sum(pair.count for pair in result.confused_pairs) == 60 - result.right
    assert sum(b.count for b in result.calibrated.bins) == 60
    assert result.calibrated.nll != result.uncalibrated.nll


def test_a_class_without_pictures_has_no_recall_and_spoils_no_average():
    logits, labels = made()
    result = evaluate_logits(logits, labels, CLASSES)
    wasp = result.classes[2]
    assert (wasp.support, wasp.recall) == (0, None)
    recalls = [row.recall for row in result.classes[:2]]
    assert result.balanced_accuracy == pytest.approx(np.mean(recalls))
    assert result.macro.recall == pytest.approx(np.mean(recalls))


def test_the_worst_mistakes_come_first_under_their_names():
    logits, labels = made()
    names = [f"picture {i}" for i in range(60)]
    result = evaluate_logits(logits, labels, CLASSES, names=names)
    losses = [mistake.loss for mistake in result.top_losses]
    assert losses == sorted(losses, reverse=True)
    assert len(losses) == 50
    worst = result.top_losses[0]
    assert worst.name == f"picture {worst.index}"
    assert worst.true == labels[worst.index]
    assert worst.loss == pytest.approx(-np.log(worst.true_probability), rel=1e-5)


def test_one_picture_is_enough_and_none_is_an_error():
    result = evaluate_logits([[3.0, 0.0]], [0], ["a", "b"])
    assert result.accuracy == 1
    assert result.interval[0] == pytest.approx(0.2065, abs=1e-3)
    assert [row.recall for row in result.classes] == [1.0, None]
    assert str(evaluate_logits([[1e9, 0.0]], [0], ["a", "b"]).top_losses[0].loss) == "0.0"
    with pytest.raises(DataError, match="no pictures"):
        evaluate_logits(np.zeros((0, 2)), np.zeros(0, dtype=int), ["a", "b"])


def test_the_summary_names_its_k():
    logits, labels = made()
    assert "top_3_accuracy" in evaluate_logits(logits, labels, CLASSES).summary()


@pytest.fixture
def classifier():
    import timm
    import torch

    from clary.formats.model_archive import Architecture
    from clary.vision.models import Classifier, build_head

    torch.manual_seed(0)
    backbone = timm.create_model("test_resnet", num_classes=0)
    return Classifier(
        backbone, build_head(backbone.num_features, 3), Architecture(name="test_resnet")
    )


def test_a_split_is_answered_once_and_in_order(classifier, picture_folder, settings):
    import torch

    from clary.vision.datasets import open_dataset
    from clary.vision.geometry import EvaluationTransform
    from clary.vision.loaders import PictureReader
    from clary.vision.transforms import to_network_input

    folder = picture_folder(splits={"train": 3, "valid": 1, "test": 3})
    split = open_dataset(folder, settings=settings).splits["test"]
    preprocessing = Preprocessing(image_size=32, resize_size=36)
    transform = EvaluationTransform(preprocessing)
    read = PictureReader(split.source, min_side=transform.min_side)
    pictures = np.stack([transform(read(index)) for index in range(len(split))])
    inputs = to_network_input(torch.from_numpy(pictures), preprocessing)
    classifier.eval()
    with torch.no_grad():
        expected = classifier(inputs).numpy()

    classifier.train()
    seen: list[tuple[int, int]] = []
    logits = evaluate_split(
        classifier, split, preprocessing, batch_size=4, progress=lambda *at: seen.append(at)
    )
    assert classifier.training
    assert logits.dtype == np.float32
    np.testing.assert_allclose(logits, expected, atol=1e-4)
    assert seen == [(4, 9), (8, 9), (9, 9)]
    rounded = evaluate_split(classifier, split, preprocessing, bf16=True)
    np.testing.assert_allclose(rounded, expected, atol=0.1)
    assert rounded.dtype == np.float32


def test_an_empty_split_cannot_be_judged(classifier):
    from clary.vision.datasets.dataset import Split
    from clary.vision.datasets.sources import ArraySource

    empty = Split(ArraySource(np.zeros((0, 8, 8, 3), np.uint8)), np.zeros(0, dtype=np.int64))
    with pytest.raises(DataError, match="no pictures"):
        evaluate_split(classifier, empty, Preprocessing())


def test_names_that_are_no_text_can_be_written():
    logits, labels = made()
    name = os.fsdecode(b"caf\xe9.jpg")
    classes = (os.fsdecode(b"gu\xeape"), "bee", "\ud800 wasp")
    result = evaluate_logits(logits, labels, classes, names=[name] * len(labels))
    written = type(result).model_validate_json(result.model_dump_json())
    assert written.top_losses[0].name == "caf\ufffd.jpg"
    assert [row.name for row in written.classes] == ["gu\ufffdpe", "bee", "\ufffd wasp"]
