"""A model of Clary's that is made in a moment; what it answers is what its seed says."""

from __future__ import annotations

from pathlib import Path

import torch

from clary.formats.model_archive import ModelDescription
from clary.vision.models import build_classifier, save_model

CLASSES = ("ant", "bee", "cat")


def small_model(folder: Path, seed: int = 0) -> Path:
    """Write a model folder of three classes for pictures of 32×32."""
    torch.manual_seed(seed)
    classifier, preprocessing, _ = build_classifier(
        "test_resnet", CLASSES, weights="none", image_size=32
    )
    with torch.no_grad():
        for parameter in classifier.head.parameters():
            parameter.mul_(20)  # so that classes differ by more than rounding
    description = ModelDescription(
        architecture=classifier.architecture, classes=CLASSES, preprocessing=preprocessing
    )
    save_model(folder, classifier, description)
    return folder
