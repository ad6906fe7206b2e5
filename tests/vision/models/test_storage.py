from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from clary.errors import FormatError, ModelError, StorageError
from clary.formats.model_archive import ModelDescription, pack_model
from clary.vision.models import (
    Classifier,
    build_classifier,
    load_for_continuation,
    load_model,
    save_model,
)

CLASSES = ("ant", "bee", "cat")


def saved(folder: Path, name: str = "resnet18", **options: object) -> Classifier:
    options.setdefault("image_size", 32)
    classifier, preprocessing, _ = build_classifier(name, CLASSES, weights="none", **options)
    description = ModelDescription(
        architecture=classifier.architecture, classes=CLASSES, preprocessing=preprocessing
    )
    save_model(folder, classifier.to(memory_format=torch.channels_last), description)
    return classifier.eval()


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("resnet18", {"hidden": (9, 5), "dropout": 0.3}),
        ("vit_tiny_patch16_224", {}),
        ("mobilenetv2_100", {"image_size": 64}),
    ],
)
def test_what_is_saved_is_loaded(tmp_path: Path, name: str, options: dict) -> None:
    classifier = saved(tmp_path / "model", name, **options)
    pack_model(tmp_path / "model", tmp_path / "model.tar.gz")
    size = options.get("image_size", 32)
    pictures = torch.randn(2, 3, size, size)
    for location in (tmp_path / "model", tmp_path / "model.tar.gz"):
        loaded, description = load_model(location)
        assert description.classes == CLASSES
        assert not loaded.training
        assert loaded.class_count == 3
        with torch.inference_mode():
            assert torch.allclose(loaded(pictures), classifier(pictures), atol=1e-5)
    names = {path.name for path in (tmp_path / "model" / "code").iterdir()}
    assert names == {"inference.py", "requirements.txt"}


def test_what_is_missing_or_damaged_is_said(tmp_path: Path) -> None:
    saved(tmp_path)
    content = (tmp_path / "model.safetensors").read_bytes()
    (tmp_path / "model.safetensors").write_bytes(content[:1000])
    with pytest.raises(FormatError, match="damaged"):
        load_model(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(FormatError, match="not a whole model"):
        load_model(tmp_path)
    with pytest.raises(FormatError, match=r"no model of Clary's, for it has no model\.json"):
        load_model(tmp_path / "code")
    with pytest.raises(FormatError, match="there is no model at"):
        load_model(tmp_path / "none")


def test_weights_of_another_model_are_refused(tmp_path: Path) -> None:
    saved(tmp_path)
    path = tmp_path / "model.json"
    content = json.loads(path.read_text())
    content["classes"].append("dog")
    path.write_text(json.dumps(content))
    with pytest.raises(ModelError, match="both files must come from the same model"):
        load_model(tmp_path)
    content["architecture"]["name"] = "resnet19"
    path.write_text(json.dumps(content))
    with pytest.raises(ModelError, match="did you mean resnet1"):
        load_model(tmp_path)


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot be written"):
        saved(tmp_path / "file" / "model")


def test_going_on_with_the_same_classes_keeps_the_head(tmp_path: Path) -> None:
    earlier = saved(tmp_path, hidden=(6,))
    pictures = torch.randn(2, 3, 32, 32)
    for classes in (CLASSES, ("cat", "ant", "bee")):
        classifier, preprocessing, report = load_for_continuation(tmp_path, classes)
        order = [CLASSES.index(name) for name in classes]
        with torch.inference_mode():
            expected = earlier(pictures)[:, order]
            assert torch.allclose(classifier.eval()(pictures), expected, atol=1e-6)
        assert preprocessing.image_size == 32
        assert classifier.architecture.stem == "small"
        assert "the head is kept" in report.notes[0]


@pytest.mark.parametrize(
    ("classes", "options", "reason"),
    [
        (("ant", "bee"), {}, "2 classes for 3"),
        (("ant", "bee", "dog"), {}, "other classes"),
        (CLASSES, {"hidden": (4,)}, "other hidden layers"),
    ],
)
def test_going_on_with_other_classes_keeps_the_backbone(
    tmp_path: Path, classes: tuple[str, ...], options: dict, reason: str
) -> None:
    earlier = saved(tmp_path)
    classifier, _, report = load_for_continuation(tmp_path, classes, **options)
    assert classifier.class_count == len(classes)
    assert torch.equal(classifier.backbone.conv1.weight, earlier.backbone.conv1.weight)
    assert "the head is new" in report.notes[0]
    assert reason in report.notes[0]


def test_going_on_at_another_size(tmp_path: Path) -> None:
    saved(tmp_path)
    classifier, preprocessing, report = load_for_continuation(tmp_path, CLASSES, image_size=48)
    assert (preprocessing.image_size, preprocessing.resize_size) == (48, 48)
    assert classifier(torch.zeros(2, 3, 48, 48)).shape == (2, 3)
    _, _, same = load_for_continuation(tmp_path, CLASSES)
    assert report.fingerprint != same.fingerprint
    saved(tmp_path / "vit", "vit_tiny_patch16_224")
    with pytest.raises(ModelError, match="belong to its input size"):
        load_for_continuation(tmp_path / "vit", CLASSES, image_size=64)
