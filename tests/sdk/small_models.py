"""A model of Clary's that is made in a moment; what it answers is what its seed says."""

from __future__ import annotations

from pathlib import Path

import torch

from clary.formats.model_archive import ModelDescription
from clary.vision.models import build_classifier, save_model

CLASSES = ("ant", "bee", "cat")


def small_model(folder: Path, seed: int = 0) -> Path:
    """Write a model folder of three classes for pictures of 32×32."""
    classifier, preprocessing, _ = build_classifier(
        "test_resnet", CLASSES, weights="none", image_size=32
    )
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in classifier.head.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    description = ModelDescription(
        architecture=classifier.architecture, classes=CLASSES, preprocessing=preprocessing
    )
    save_model(folder, classifier, description)
    return folder
