"""A model's converted network, asked without a server."""

from __future__ import annotations

from pathlib import Path

from clary.endpoint.runtimes.openvino_runtime import OpenVINORuntime
from clary.endpoint.runtimes.runtime import Crops, Probabilities
from clary.formats.model_archive import ModelDescription


class ConvertedNetwork:
    """The fp32 network of a folder, over all cores; one thread may ask it at a time.

    Args:
        folder: of the converted networks (`clary.formats.converted_model`).

    Raises:
        FormatError: the network is missing or damaged.
    """

    def __init__(self, folder: Path) -> None:
        self.description = ModelDescription.read(folder)
        self._runtime = OpenVINORuntime(folder, "fp32")
        self._stream = self._runtime.over_all_cores()

    def probabilities(self, crops: Crops) -> Probabilities:
        """Probabilities, float32 of shape (N, classes), for uint8 crops (N, S, S, 3)."""
        return self._stream.probabilities(crops)
