"""What rules found in a job, and how each rule stands.

    rules/<configuration name>/status.json       one RuleStatus
    rules/<configuration name>/findings.jsonl    a Finding a line, in the order found

Written by `clary.jobs.check_rules` alone; read by the service, the SDK and the report. Format
version 1; see `docs/formats/findings.md`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from clary.formats.files import storage_errors, write_json
from clary.formats.records import read_record

VERSION = 1
STATUS_FILE = "status.json"
FINDINGS_FILE = "findings.jsonl"
DETAILS_LIMIT = 1024

Kind = Literal["issue", "note", "watcher_failed"]
Status = Literal["InProgress", "NoIssuesFound", "IssuesFound", "Error", "Stopped"]


class Finding(BaseModel):
    """One thing that a rule has to say.

    An `issue` is what the rule looks for. A `note` is what kept it from judging, such as a tensor
    that was not saved. `watcher_failed` says that the rule, the hook or its store failed, with the
    traceback in `detail`; the training is not touched by that.
    """

    model_config = ConfigDict(frozen=True)

    rule: str
    kind: Kind
    message: str
    """What was seen, in one sentence with the number and the bound."""
    cause: str = ""
    remedy: str = ""
    tensor: str | None = None
    step: int | None = None
    """Of `mode`; of all modes together when that is None."""
    mode: Literal["TRAIN", "EVAL", "PREDICT"] | None = None
    value: float | None = None
    bound: float | None = None
    worker: str | None = None
    at_ms: int = 0
    detail: str = ""


class RuleStatus(BaseModel):
    """How a rule stands. `details` is what SageMaker calls StatusDetails."""

    model_config = ConfigDict(frozen=True)

    version: int = VERSION
    configuration: str
    rule: str
    status: Status
    details: str = ""
    last_step: int | None = None
    judged: int = 0
    """How many values the rule has looked at."""
    parameters: dict[str, str] = {}
    started_ms: int = 0
    modified_ms: int = 0

    def write(self, folder: Path) -> None:
        """Put it into the rule's folder.

        Raises:
            StorageError: the folder cannot be written.
        """
        write_json(folder / STATUS_FILE, self.model_dump(mode="json"))

    @classmethod
    def read(cls, folder: Path) -> RuleStatus | None:
        """Of the rule's folder; None when there is none yet.

        Raises:
            FormatError: the file is damaged, or of a later version.
        """
        path = folder / STATUS_FILE
        if not path.exists():
            return None
        return read_record(cls, path, VERSION, "the status of a rule")


def append_findings(folder: Path, findings: Sequence[Finding]) -> None:
    """Add findings to the rule's folder; on the disk when this returns.

    Raises:
        StorageError: the folder cannot be written.
    """
    path = folder / FINDINGS_FILE
    with storage_errors(path):
        folder.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as file:
            # A line that a kill has cut off stays alone.
            if file.tell() and not _ends_with_newline(path):
                file.write(b"\n")
            for finding in findings:
                file.write(finding.model_dump_json().encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())


def read_findings(folder: Path) -> tuple[Finding, ...]:
    """All findings of a rule's folder, in the order found; a line cut off by a kill is left out."""
    path = folder / FINDINGS_FILE
    return parse_findings(path.read_bytes()) if path.exists() else ()


def parse_findings(content: bytes) -> tuple[Finding, ...]:
    """The findings in a file of them, as `read_findings` gives them."""
    found: list[Finding] = []
    for line in content.split(b"\n"):
        try:
            found.append(Finding.model_validate(json.loads(line)))
        except ValueError:
            continue
    return tuple(found)


def _ends_with_newline(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"
