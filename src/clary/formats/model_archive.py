"""A trained model as a folder, and the folder as `model.tar.gz` in SageMaker's layout.

    model.safetensors       the weights, named as `clary.vision.models.Classifier` names them
    model.json              `ModelDescription`: architecture, classes, preprocessing, provenance
    code/inference.py       the handlers that also serve it on AWS
    code/requirements.txt   what they need there

Format version 1; see `docs/formats/model_archive.md`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from clary.errors import FormatError
from clary.formats.files import read_json, write_text
from clary.formats.preprocessing import Preprocessing

VERSION = 1
WEIGHTS_FILE = "model.safetensors"
DESCRIPTION_FILE = "model.json"


class Architecture(BaseModel):
    """What has to be built before the weights can be loaded."""

    model_config = ConfigDict(frozen=True)

    name: str
    hidden: tuple[int, ...] = ()
    dropout: float = 0.0


class ModelDescription(BaseModel):
    """Everything about a model but its weights.

    `temperature` divides the logits before the softmax. `metrics` holds the figures of each
    split, `provenance` where the model comes from: Clary's version, the data set, the options,
    the source of the first weights, the time, in UTC.
    """

    model_config = ConfigDict(frozen=True)

    version: int = VERSION
    architecture: Architecture
    classes: tuple[str, ...]
    preprocessing: Preprocessing
    temperature: float = Field(1.0, gt=0)
    metrics: dict[str, Any] = Field(default_factory=dict)
    provenance: dict[str, Any] = Field(default_factory=dict)

    def write(self, folder: Path) -> None:
        """Write `model.json` into a model folder.

        Raises:
            StorageError: the folder cannot be written.
        """
        write_text(folder / DESCRIPTION_FILE, self.model_dump_json(indent=2) + "\n")

    @classmethod
    def read(cls, folder: Path) -> ModelDescription:
        """Read `model.json` of a model folder.

        Raises:
            FormatError: it is missing, damaged, or of a later version.
        """
        path = folder / DESCRIPTION_FILE
        content = read_json(path)
        version = content.get("version") if isinstance(content, dict) else None
        if not isinstance(version, int) or version > VERSION:
            raise FormatError(
                f"{path} has version {version!r} but this Clary reads up to {VERSION}: "
                "install a newer Clary"
            )
        try:
            return cls.model_validate(content)
        except ValidationError as error:
            raise FormatError(f"{path} is not a model description: {error}") from error
