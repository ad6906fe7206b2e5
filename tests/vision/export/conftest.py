"""Saved models, built once for the tests of this folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from clary.formats.model_archive import ModelDescription, pack_model
from clary.vision.geometry import EvaluationTransform
from clary.vision.models import build_classifier, save_model
from clary.vision.transforms import to_network_input
from tests.conftest import make_picture

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
    """A small ResNet with a stem for 40 px and a hidden layer; its archive lies beside it."""
    folder = tmp_path_factory.mktemp("small") / "model"
    make_model(folder, "test_resnet", image_size=40, hidden=(16,), dropout=0.1)
    pack_model(folder, folder.parent / "model.tar.gz")
    return folder


@pytest.fixture(scope="session")
def cropped_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small EfficientNet at 96 px that crops, bicubic."""
    return make_model(tmp_path_factory.mktemp("cropped") / "m", "test_efficientnet", image_size=96)


@pytest.fixture(scope="session")
def attending_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small vision transformer."""
    return make_model(tmp_path_factory.mktemp("attending") / "m", "test_vit", image_size=64)


@pytest.fixture(scope="session")
def learned_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small network at 32 px whose head was fitted to the pictures of `picture_folder`."""
    classes = ("class_0", "class_1", "class_2")
    torch.manual_seed(0)
    classifier, preprocessing, _ = build_classifier(
        "resnet18", classes, weights="none", image_size=32
    )
    transform = EvaluationTransform(preprocessing)
    labels = np.arange(60) % 3
    pictures = [
        np.asarray(make_picture(int(label), 1000 + number, 64))
        for number, label in enumerate(labels)
    ]
    crops = torch.from_numpy(np.stack([transform(picture) for picture in pictures]))
    with torch.no_grad():
        features = classifier.eval().backbone(to_network_input(crops, preprocessing))
        centred = features - features.mean(dim=0)
        wanted = torch.eye(3)[torch.from_numpy(labels)] - 1 / 3
        products = centred.T @ centred
        ridge = 1e-2 * products.diagonal().mean() * torch.eye(len(products))
        weight = torch.linalg.solve(products + ridge, centred.T @ wanted).T * 8
        classifier.head[-1].weight.copy_(weight)
        classifier.head[-1].bias.copy_(-(weight @ features.mean(dim=0)))
    description = ModelDescription(
        architecture=classifier.architecture, classes=classes, preprocessing=preprocessing
    )
    folder = tmp_path_factory.mktemp("learned") / "model"
    save_model(folder, classifier, description)
    return folder
