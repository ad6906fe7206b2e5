"""Models that are saved and converted, once for the tests of this folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from clary.formats.converted_model import ConvertedModel
from clary.formats.model_archive import ModelDescription
from clary.formats.replica import ReplicaSettings
from clary.settings import GIB
from clary.vision.caching import CacheStore
from clary.vision.export.serving import convert_model
from clary.vision.models import build_classifier, save_model

CLASSES = ("ant", "bee", "été")

Asked = Callable[..., ReplicaSettings]


@pytest.fixture(scope="session")
def saved_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small ResNet whose head answers clearly, so that a wrong pixel shows."""
    folder = tmp_path_factory.mktemp("served") / "model"
    torch.manual_seed(0)
    classifier, preprocessing, _ = build_classifier(
        "resnet18", CLASSES, weights="none", image_size=40
    )
    with torch.no_grad():
        classifier.head[-1].weight.mul_(60)
    description = ModelDescription(
        architecture=classifier.architecture,
        classes=CLASSES,
        preprocessing=preprocessing,
        temperature=1.7,
    )
    save_model(folder, classifier, description)
    return folder


@pytest.fixture(scope="session")
def converted(saved_model: Path, tmp_path_factory: pytest.TempPathFactory) -> ConvertedModel:
    """It, converted."""
    store = CacheStore(tmp_path_factory.mktemp("cache"), GIB)
    return convert_model(saved_model, store).converted


@pytest.fixture
def asked(saved_model: Path, converted: ConvertedModel) -> Asked:
    """A function that gives the settings of a replica of the model."""

    def settings(**differing: object) -> ReplicaSettings:
        return ReplicaSettings(
            **{
                "endpoint": "e",
                "variant": "v",
                "instance": "i-1",
                "kind": "pictures",
                "model": str(saved_model),
                "converted": str(converted.folder),
                **differing,
            }
        )

    return settings
