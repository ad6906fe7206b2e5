"""What a data check found, as two processes exchange it (`output/data/data_check.json`).

Format version 1; see `docs/formats/data_check.md`.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Severity = Literal["error", "warning", "notice"]
VERSION = 1
NAMES_LIMIT = 50


class CheckFinding(BaseModel):
    """One thing that the check found.

    `code` is a stable identifier such as `truncated-picture`; `message` one sentence with what to
    do; `names` the pictures or classes concerned, at most 50 of `count`; `details`, when there
    are any, says something about each of the names, such as which picture it is a copy of.
    """

    model_config = ConfigDict(frozen=True)

    code: str
    severity: Severity
    message: str
    count: int = Field(ge=0)
    names: tuple[str, ...] = Field((), max_length=NAMES_LIMIT)
    details: tuple[str, ...] = Field((), max_length=NAMES_LIMIT)

    @model_validator(mode="after")
    def _details_fit(self) -> CheckFinding:
        if self.details and len(self.details) != len(self.names):
            raise ValueError(f"{len(self.details)} details for {len(self.names)} names")
        return self


class CheckReport(BaseModel):
    """Everything that was found at once.

    `counts[split][class]` is a number of pictures, `made_splits` names the splits that were cut
    from train and not found, `widths` and `heights` are smallest, median and largest in pixels,
    `full` tells whether every picture was decoded or its header only read. `fingerprint` is another
    one when a picture, a label or a split is another one; "" where a picture cannot be looked at.
    """

    model_config = ConfigDict(frozen=True)

    version: int = VERSION
    dataset: str
    layout: str
    classes: tuple[str, ...]
    counts: dict[str, dict[str, int]]
    findings: tuple[CheckFinding, ...] = ()
    pictures: int
    seconds: float
    widths: tuple[int, int, int] = (0, 0, 0)
    heights: tuple[int, int, int] = (0, 0, 0)
    made_splits: tuple[str, ...] = ()
    full: bool = True
    fingerprint: str = ""

    @property
    def blocks_training(self) -> bool:
        """Whether training would go wrong."""
        return any(finding.severity == "error" for finding in self.findings)
