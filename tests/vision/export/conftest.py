"""Saved models, built once for the tests of this folder."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from clary.formats.model_archive import ModelDescription, pack_model
from clary.vision.models import build_classifier, save_model

CLASSES = ("ant", "bee", "été")


def make_model(folder: Path, name: str, **options: object) -> Path:
    """A saved model whose head answers clearly, so that a wrong pixel shows."""
    classifier, preprocessing, _ = build_classifier(name, CLASSES, weights="none", **options)
    with torch.no_grad():
        classifier.head[-1].weight.mul_(8)
    description = ModelDescription(
        architecture=classifier.architecture,
        classes=CLASSES,
        preprocessing=preprocessing,
        temperature=1.7,
    )
    save_model(folder, classifier, description)
    return folder


@pytest.fixture(scope="session")
def small_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ResNet-18 with a small stem and a hidden layer, as a folder; its archive lies beside it."""
    folder = tmp_path_factory.mktemp("small") / "model"
    make_model(folder, "resnet18", image_size=40, hidden=(16,), dropout=0.1)
    pack_model(folder, folder.parent / "model.tar.gz")
    return folder


@pytest.fixture(scope="session")
def cropped_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A MobileNetV2 at 96 px that crops, bicubic."""
    return make_model(tmp_path_factory.mktemp("cropped") / "m", "mobilenetv2_100", image_size=96)
