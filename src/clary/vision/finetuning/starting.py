"""The model that a run starts from."""

from __future__ import annotations

from dataclasses import dataclass

from clary.formats.preprocessing import Preprocessing
from clary.vision.models import Classifier, WeightsReport


@dataclass(frozen=True)
class StartingModel:
    """A classifier before training, what its input must look like, where its weights are from."""

    classifier: Classifier
    preprocessing: Preprocessing
    weights: WeightsReport
