"""A picture model made ready to be served: its network as OpenVINO reads it, kept in the cache.

    <cache>/served/<fingerprint of the model>/
        fp32.xml, fp32.bin      uint8 pictures of the network's size to probabilities
        int8.xml, int8.bin      the same in int8, where it was calibrated on pictures
        int8.json               `Calibration`: on what, and the accuracy before and after
        bf16.json               `Agreement`: whether bf16 answers as fp32 does, where it was asked
        model.json              what the model is (`clary.formats.model_archive`)

The conversion takes seconds and happens once, at the end of a training or before the first
deployment. The fingerprint is that of the weights, of `model.json` and of the converter's version:
the same model has the same folder wherever it was unpacked. Files are complete or absent, and
whoever reads a network holds the lock `LOCK_FILE` meanwhile: int8 may be made anew. Format version
1; see `docs/formats/converted_model.md`.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from clary.errors import FormatError
from clary.formats.files import write_text
from clary.formats.model_archive import DESCRIPTION_FILE, WEIGHTS_FILE
from clary.formats.records import read_record

VERSION = 1
# Goes up with every change of what the converted network computes (`clary.vision.export.graph`).
GRAPH_VERSION = 1
ConvertedPrecision = Literal["fp32", "int8"]
CALIBRATION_FILE = "int8.json"
AGREEMENT_FILE = "bf16.json"
# Of held-out pictures, bf16 must give the same class as fp32 for so many. A picture that lies
# between two classes may go to either, which says nothing of the model.
LEAST_AGREEMENT_IN_BF16 = 0.95
# Held alone by whoever puts a network in place, together by those who read one.
LOCK_FILE = "replacing.lock"
_BLOCK_BYTES = 1 << 22


class Calibration(BaseModel):
    """What int8 costs a model: `int8.json`.

    pictures:          how many the ranges of the activations were taken from
    judged:            how many others both networks were asked about
    accuracy_before:   the share of those that fp32 got right; None where their classes are none
                       of the model's
    accuracy_after:    the share that int8 got right
    agreement:         the share on which both gave the same class
    data:              what was calibrated on, as it was named
    """

    model_config = ConfigDict(frozen=True)

    version: int = VERSION
    pictures: int
    judged: int
    accuracy_before: float | None
    accuracy_after: float | None
    agreement: float
    data: str

    def write(self, folder: Path) -> None:
        """Write `int8.json`.

        Raises:
            StorageError: the folder cannot be written.
        """
        write_text(folder / CALIBRATION_FILE, self.model_dump_json(indent=2) + "\n")

    @classmethod
    def read(cls, folder: Path) -> Calibration:
        """Read `int8.json`.

        Raises:
            FormatError: it is missing, damaged, or of a later version.
        """
        path = folder / CALIBRATION_FILE
        return read_record(cls, path, VERSION, "a calibration")


class Agreement(BaseModel):
    """Whether a model answers in bf16 as it does in fp32: `bf16.json`.

    judged:      how many pictures of `split`, of which it has learnt nothing, both were asked about
    agreement:   the share on which both gave the same class
    """

    model_config = ConfigDict(frozen=True)

    version: int = VERSION
    split: str
    judged: int
    agreement: float

    @property
    def suffices(self) -> bool:
        """Whether bf16 may stand for fp32."""
        return self.agreement >= LEAST_AGREEMENT_IN_BF16

    def write(self, folder: Path) -> None:
        """Write `bf16.json`.

        Raises:
            StorageError: the folder cannot be written.
        """
        write_text(folder / AGREEMENT_FILE, self.model_dump_json(indent=2) + "\n")

    @classmethod
    def read(cls, folder: Path) -> Agreement | None:
        """Read `bf16.json`; None where nobody has asked.

        Raises:
            FormatError: it is damaged, or of a later version.
        """
        path = folder / AGREEMENT_FILE
        if not path.is_file():
            return None
        return read_record(cls, path, VERSION, "an agreement")


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
        # Networks of other versions of what makes them are made again.
        made_by = f"served {VERSION} graph {GRAPH_VERSION} openvino {version('openvino')}\n"
        digest = hashlib.sha256(made_by.encode())
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
        """Whether the network is there, whole; of int8 also what is known of it."""
        known = precision != "int8" or (self.folder / CALIBRATION_FILE).is_file()
        return known and self.network(precision).is_file()
