"""A saved model that torch runs, as it was trained and judged."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch

from clary.formats.model_archive import ModelDescription
from clary.vision.hardware import choose_device, require_precision
from clary.vision.models import Classifier, load_model
from clary.vision.transforms import to_network_input

Precision = Literal["fp32", "bf16"]


class TorchNetwork:
    """A classifier on its device; one thread may ask it at a time.

    Args:
        classifier: is put in eval mode.
        description: what its folder says.
        precision: "bf16" runs it under autocast.
    """

    def __init__(
        self,
        classifier: Classifier,
        description: ModelDescription,
        *,
        precision: Precision = "fp32",
    ) -> None:
        self.description = description
        self._classifier = classifier.eval()
        self._device = next(classifier.parameters()).device
        self._bf16 = precision == "bf16"

    @classmethod
    def load(
        cls, location: Path, *, device: str | None = None, precision: Precision = "fp32"
    ) -> TorchNetwork:
        """Load a model folder or a `model.tar.gz`, onto a GPU when there is one.

        Raises:
            FormatError: the model is missing, damaged, or of a later version.
            ModelError: the weights don't fit the architecture.
            UsageError: the device is not here, or bf16 would be emulated on it.
        """
        chosen = choose_device(device)
        require_precision(precision, chosen)
        classifier, description = load_model(location)
        classifier.to(chosen).to(memory_format=torch.channels_last)
        return cls(classifier, description, precision=precision)

    def probabilities(self, crops: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Probabilities, float32 of shape (N, classes), for uint8 crops (N, S, S, 3)."""
        with (
            torch.inference_mode(),
            torch.autocast(self._device.type, torch.bfloat16, enabled=self._bf16),
        ):
            inputs = to_network_input(
                torch.from_numpy(crops),
                self.description.preprocessing,
                device=self._device,
                dtype=torch.float32,
            )
            logits = self._classifier(inputs).float() / self.description.temperature
        probabilities: npt.NDArray[np.float32] = logits.softmax(dim=1).cpu().numpy()
        return probabilities
