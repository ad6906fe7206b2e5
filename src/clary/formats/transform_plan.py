"""What one host of a batch transform job is told.

    transform.json           `TransformPlan`: how records go to the model and come back
    .objects.jsonl           an `InputObject` a line: what to transform, in order
    output/data/N            the result for line N, counted from 0; there once it is whole

They lie in the host's folder beside `replica.json` (`clary.formats.replica`), which says what
model answers, and are written before the start. Format version 1; see
`docs/formats/transform_plan.md`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from clary.errors import FormatError
from clary.formats.files import replacing, write_text
from clary.formats.records import read_record

VERSION = 1
PLAN_FILE = "transform.json"
OBJECTS_FILE = ".objects.jsonl"

Split = Literal["None", "Line", "RecordIO", "TFRecord"]
RecordFormat = Literal["csv", "json"]
# One record a line, also where an object is not split.
JSON_LINES = "application/jsonlines"
_RECORD_FORMATS: Mapping[str, RecordFormat] = {
    "text/csv": "csv",
    "application/json": "json",
    JSON_LINES: "json",
}


class InputObject(NamedTuple):
    """An object to transform: its URI, the file that holds it, and its name in the output."""

    uri: str
    path: str
    name: str


class TransformPlan(BaseModel):
    """How the objects of a transform job become requests, and the answers become outputs.

    split:              what of an object is a record; "None": the object
    several_records:    a request holds as many records as fit, rather than one
    max_payload_bytes:  how large a request may be; None for any size
    concurrent:         how many requests are made at once; as fits the machine when None
    timeout_s, retries: of a request
    lines:              outputs are assembled with a line feed after each answer
    input_filter, output_filter:  `clary.formats.json_path`
    join:               the record stands in the output beside the model's answer
    ids_at:             every record of the output gets an id and this time, where it is given
    """

    model_config = ConfigDict(frozen=True)

    version: int = VERSION
    job: str
    content_type: str | None = None
    accept: str | None = None
    split: Split = "None"
    gzip: bool = False
    several_records: bool = True
    max_payload_bytes: Annotated[int, Field(ge=1)] | None = 6 << 20
    concurrent: Annotated[int, Field(ge=1)] | None = None
    timeout_s: Annotated[float, Field(gt=0)] = 600.0
    retries: Annotated[int, Field(ge=0)] = 3
    lines: bool = False
    input_filter: str = "$"
    output_filter: str = "$"
    join: bool = False
    ids_at: str | None = None

    def write(self, folder: Path) -> None:
        """Write `transform.json`.

        Raises:
            StorageError: the folder cannot be written.
        """
        write_text(folder / PLAN_FILE, self.model_dump_json(indent=2) + "\n")

    @classmethod
    def read(cls, folder: Path) -> TransformPlan:
        """Read `transform.json`.

        Raises:
            FormatError: it is missing, damaged, or of a later version.
        """
        path = folder / PLAN_FILE
        return read_record(cls, path, VERSION, "the plan of a transform job")


def bare_type(content_type: str | None) -> str:
    """A content type in lower case and without its parameters; empty where there is none."""
    return (content_type or "").partition(";")[0].strip().lower()


def record_format(content_type: str | None) -> RecordFormat | None:
    """How records of a content type are read; None where only the model can."""
    return _RECORD_FORMATS.get(bare_type(content_type))


def write_objects(folder: Path, objects: Iterable[InputObject]) -> None:
    """Write `.objects.jsonl`.

    Raises:
        StorageError: the folder cannot be written.
    """
    with replacing(folder / OBJECTS_FILE) as temporary, temporary.open("w") as file:
        for one in objects:
            file.write(json.dumps(one._asdict()) + "\n")


def read_objects(folder: Path) -> Iterator[InputObject]:
    """Read `.objects.jsonl`, a line at a time.

    Raises:
        FormatError: it is missing or damaged.
    """
    path = folder / OBJECTS_FILE
    try:
        with path.open() as file:
            for line in file:
                yield _object(json.loads(line))
    except FileNotFoundError as error:
        raise FormatError(f"{path} is missing") from error
    except (ValueError, KeyError, TypeError) as error:
        raise FormatError(f"{path} is damaged: {error}") from error


def output_file(folder: Path, number: int) -> Path:
    """Where the result for an object lies, by its number in `.objects.jsonl`."""
    return folder / "output" / "data" / str(number)


def _object(content: Any) -> InputObject:
    return InputObject(content["uri"], content["path"], content["name"])
