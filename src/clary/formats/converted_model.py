"""A picture model made ready to be served: its network as OpenVINO reads it, kept in the cache.

    <cache>/served/<fingerprint of the model>/
        fp32.xml, fp32.bin      uint8 pictures of the network's size to probabilities
        int8.xml, int8.bin      the same in int8, where it was calibrated on pictures
        int8.json               on which pictures, and the accuracy before and after
        model.json              what the model is (`clary.formats.model_archive`)

The conversion takes seconds and happens once, at the end of a training or before the first
deployment. The fingerprint is that of the weights and of `model.json`: the same model has the same
folder wherever it was unpacked. Files are complete or absent. Format version 1; see
`docs/formats/converted_model.md`.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from clary.errors import FormatError
from clary.formats.model_archive import DESCRIPTION_FILE, WEIGHTS_FILE

VERSION = 1
ConvertedPrecision = Literal["fp32", "int8"]
_BLOCK_BYTES = 1 << 22


@dataclass(frozen=True)
class ConvertedModel:
    """The folder of one model's converted networks."""

    folder: Path

    @classmethod
    def of(cls, model: Path, cache: Path) -> ConvertedModel:
        """Where the networks of a model folder belong, made or not.

        Raises:
            FormatError: the folder holds no model of Clary's.
        """
        digest = hashlib.sha256(f"served {VERSION}\n".encode())
        for name in (DESCRIPTION_FILE, WEIGHTS_FILE):
            try:
                with (model / name).open("rb") as file:
                    while block := file.read(_BLOCK_BYTES):
                        digest.update(block)
            except OSError as error:
                raise FormatError(f"{model} holds no model of Clary's: {error}") from error
        return cls(cache / "served" / digest.hexdigest()[:32])

    def network(self, precision: ConvertedPrecision) -> Path:
        """The `.xml` of a network; its `.bin` lies beside it."""
        return self.folder / f"{precision}.xml"

    def has(self, precision: ConvertedPrecision) -> bool:
        """Whether the network is there, whole."""
        return self.network(precision).is_file()
