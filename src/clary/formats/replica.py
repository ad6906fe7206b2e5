"""One running copy of a model behind an endpoint: what it is told, and what it tells.

    replica.json       `ReplicaSettings`: what to serve, and how     written before the start
    .listening.json    `Listening`: where it takes requests          written by the replica

They lie in the folder of the replica's host (`clary.formats.launch`), whose lock and end file tell
whether it lives. It answers `GET /ping` with 200 once it serves. Format version 1; see
`docs/formats/replica.md`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from clary.formats.files import write_text
from clary.formats.records import read_record

VERSION = 1
SETTINGS_FILE = "replica.json"
LISTENING_FILE = ".listening.json"
# What InvokeEndpoint carries by SageMaker's service model.
MAX_BODY_BYTES = 6 << 20
# A phone's largest. A picture of one colour is a small file however many it has.
MAX_PIXELS = 50_000_000

Kind = Literal["pictures", "script"]
Precision = Literal["auto", "fp32", "bf16", "int8"]


class ReplicaSettings(BaseModel):
    """What a replica serves, and within which bounds.

    kind:           "pictures" for models that Clary made, "script" for people's own handlers
    model:          the model folder as the replica sees it; with `multi_model` the folder that
                    holds a folder for each
    converted:      "pictures" only: where the network lies ready to be served
                    (`clary.formats.converted_model`)
    precision:      "auto" is bf16 where the processor computes in it, else fp32
    python:         "script" only: the interpreter of the workers where a layer holds what the
                    handlers require; the replica's own when None
    workers:        threads or processes that answer; as fits the machine when None
    port:           0 for any that is free
    waiting:        how many invocations may wait; as fits the workers when None
    models_kept:    with `multi_model`, how many stay loaded
    max_pixels:     "pictures" only: of one picture file
    allow_urls:     "pictures" only: whether the server fetches pictures that requests name
    private_urls:   whether those may lie at addresses that are not the internet's
    """

    model_config = ConfigDict(frozen=True)

    version: int = VERSION
    endpoint: str
    variant: str
    instance: str
    kind: Kind
    model: str
    converted: str | None = None
    multi_model: bool = False
    precision: Precision = "auto"
    python: str | None = None
    workers: Annotated[int, Field(ge=1, le=256)] | None = None
    address: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 0
    max_body_bytes: Annotated[int, Field(ge=1)] = MAX_BODY_BYTES
    deadline_s: Annotated[float, Field(gt=0)] = 60.0
    waiting: Annotated[int, Field(ge=1)] | None = None
    max_batch: Annotated[int, Field(ge=1, le=1024)] = 8
    models_kept: Annotated[int, Field(ge=1)] = 4
    max_pixels: Annotated[int, Field(ge=1)] = MAX_PIXELS
    allow_urls: bool = False
    private_urls: bool = False

    def write(self, folder: Path) -> None:
        """Write `replica.json`.

        Raises:
            StorageError: the folder cannot be written.
        """
        write_text(folder / SETTINGS_FILE, self.model_dump_json(indent=2) + "\n")

    @classmethod
    def read(cls, folder: Path) -> ReplicaSettings:
        """Read `replica.json`.

        Raises:
            FormatError: it is missing, damaged, or of a later version.
        """
        return read_record(cls, folder / SETTINGS_FILE, VERSION, "the settings of a replica")


class Listening(BaseModel):
    """Where a replica takes requests, since when (milliseconds since 1970)."""

    model_config = ConfigDict(frozen=True)

    version: int = VERSION
    address: str
    port: int
    since_ms: int

    def write(self, folder: Path) -> None:
        """Write `.listening.json`.

        Raises:
            StorageError: the folder cannot be written.
        """
        write_text(folder / LISTENING_FILE, self.model_dump_json() + "\n")

    @classmethod
    def read(cls, folder: Path) -> Listening | None:
        """Read `.listening.json`; None when the replica does not listen yet.

        Raises:
            FormatError: it is damaged, or of a later version.
        """
        path = folder / LISTENING_FILE
        if not path.exists():
            return None
        return read_record(cls, path, VERSION, "where a replica listens")
