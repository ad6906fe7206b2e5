"""What a replica serves: the model as it was created, and what was prepared of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from clary.formats.files import storage_errors, write_text
from clary.formats.records import read_record
from clary.formats.replica import Kind, Precision

# What the folder of a prepared model is called in that of its variant.
MODEL = "model"
_PREPARED = "prepared.json"
_VERSION = 1


def only_container(request: Mapping[str, Any]) -> Mapping[str, Any]:
    """The one container of a model, which is given alone or as a list of one.

    Args:
        request: CreateModel's parameters.
    """
    containers = request.get("Containers") or [request.get("PrimaryContainer") or {}]
    container: Mapping[str, Any] = containers[0]
    return container


@dataclass(frozen=True)
class ModelSource:
    """The model of a variant or of a transform job.

    identity:     stands for the preparation in `Preparation.cancel`
    arn:          the model's
    request:      CreateModel's, verbatim
    environment:  set besides the container's own
    on_gpu:       it is served on a GPU
    """

    identity: str
    arn: str
    request: Mapping[str, Any]
    environment: Mapping[str, str] = field(default_factory=dict)
    on_gpu: bool = False

    @property
    def container(self) -> Mapping[str, Any]:
        """The one container."""
        return only_container(self.request)

    @property
    def asked(self) -> dict[str, str]:
        """The container's Environment, with what is set besides."""
        given = self.container.get("Environment") or {}
        return {**{str(name): str(value) for name, value in given.items()}, **self.environment}

    @property
    def multi_model(self) -> bool:
        """Whether the container serves many models, each fetched when it is asked for."""
        return self.container.get("Mode") == "MultiModel"


class PreparedModel(BaseModel):
    """A model that replicas can serve.

    identity:      whose it is: `ModelSource.identity`
    kind:          "pictures" for models that Clary made, "script" for people's handlers
    model:         the unpacked model; with `multi_model` the folder that takes a folder for each
    converted:     "pictures" only: where its networks lie ready (`clary.formats.converted_model`)
    precision:     "pictures" only: as the container's `CLARY_PRECISION` asks
    python:        "script" only: the interpreter that has what the code requires; None where
                   Clary's own has it
    environment:   the container's, as its processes shall see it
    """

    model_config = ConfigDict(frozen=True)

    version: int = _VERSION
    identity: str
    kind: Kind
    model: Path
    multi_model: bool = False
    converted: Path | None = None
    precision: Precision = "auto"
    python: str | None = None
    environment: dict[str, str] = {}

    def write(self, folder: Path) -> None:
        """Write what says that everything is prepared.

        Raises:
            StorageError: the folder cannot be written.
        """
        path = folder / _PREPARED
        write_text(path, self.model_dump_json(indent=2) + "\n")
        with storage_errors(path):
            path.chmod(0o600)  # the environment may hold secrets

    @classmethod
    def read(cls, folder: Path) -> PreparedModel | None:
        """What was prepared in a folder; None when it is not, or not completely.

        Raises:
            FormatError: the file is damaged, or of a later version.
        """
        path = folder / _PREPARED
        if not path.exists():
            return None
        return read_record(cls, path, _VERSION, "the preparation of a model")
