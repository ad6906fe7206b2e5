"""What the program that checks rules is told: `request.json` in its folder.

    request.json                  `RuleRequest`                         written by the service
    ended                         made when the training has ended and all it wrote is there
    <configuration name>/         results of one rule (`clary.formats.findings`), and its log

`python -m clary.jobs.check_rules FOLDER` reads it, judges while the training runs, and ends by
itself after a last look once `ended` exists. Format version 1; see `docs/formats/rule_request.md`.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict

from clary.formats.files import storage_errors, write_json
from clary.formats.records import read_record

VERSION = 1
REQUEST_FILE = "request.json"
ENDED_FILE = "ended"
LOG_FILE = "log"
# What a file system takes as a name, less what is put behind it.
_NAME_LIMIT_BYTES = 200

RuleKind = Literal["debug", "profiler"]
"""What rules judge: what a training computes, or where its time goes."""


class RuleConfiguration(BaseModel):
    """One rule to check.

    `rule` is the name of `rule_to_invoke`: of a built-in rule, or of a class in the file `source`.
    `parameters` are the rule's own, without the keys that belong to the request. `others` are the
    tensors of other runs: folders, or `s3://…`.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    rule: str
    parameters: dict[str, str] = {}
    source: Path | None = None
    others: tuple[str, ...] = ()


class RuleRequest(BaseModel):
    """The rules to check, and what they judge.

    All rules of a request are of one `kind`. The debugger's judge `tensors`, a folder for each host
    of the job (its `output/tensors`); the profiler's judge `profiles` (its `output/profiler`). They
    need not exist yet. `started_s` is when the job's own code began, in seconds since 1970, and
    `about` is what a report shows of the job, by the words it uses.
    `learning` is what the training job says of itself, each key optional: `pretrained` and `frozen`
    (true or false), `classes` (how many), `hyperparameters` (names and texts).
    """

    model_config = ConfigDict(frozen=True)

    version: int = VERSION
    job: str
    tensors: tuple[Path, ...] = ()
    rules: tuple[RuleConfiguration, ...]
    learning: dict[str, Any] = {}
    kind: RuleKind = "debug"
    profiles: tuple[Path, ...] = ()
    started_s: float | None = None
    about: dict[str, str] = {}

    def write(self, folder: Path) -> None:
        """Put it into the folder.

        Raises:
            StorageError: the folder cannot be written.
        """
        write_json(folder / REQUEST_FILE, self.model_dump(mode="json"))

    @classmethod
    def read(cls, folder: Path) -> RuleRequest:
        """Of the folder.

        Raises:
            FormatError: the file is missing or damaged, or of a later version.
        """
        path = folder / REQUEST_FILE
        return read_record(cls, path, VERSION, "a request to check rules")


def results_folder(folder: Path, configuration: str) -> Path:
    """Where the results of a rule are; a name that is no name of a folder is encoded."""
    name = quote(configuration, safe=" ")
    if name.startswith(".") or name in {REQUEST_FILE, ENDED_FILE}:
        name = f"%{ord(name[0]):02X}{name[1:]}"
    if len(name) > _NAME_LIMIT_BYTES:
        digest = hashlib.sha256(configuration.encode()).hexdigest()[:16]
        name = f"{name[:_NAME_LIMIT_BYTES]}-{digest}"
    return folder / name


def ended_marker(folder: Path) -> Path:
    """Made by `mark_ended`; the program makes its last look once it is there."""
    return folder / ENDED_FILE


def mark_ended(folder: Path) -> None:
    """Say that the training has ended and that all it wrote is there.

    Raises:
        StorageError: the folder cannot be written.
    """
    path = ended_marker(folder)
    with storage_errors(path):
        path.touch()
