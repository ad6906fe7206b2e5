"""What a data check found, as two processes exchange it (`output/data/data_check.json`).

Format version 1; see `docs/formats/data_check.md`.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

Severity = Literal["error", "warning", "notice"]
VERSION = 1


class CheckFinding(BaseModel):
    """One thing that the check found.

    `code` is a stable identifier such as `truncated-picture`; `message` one sentence with what to
    do; `names` the pictures or classes concerned, at most 50 of `count`.
    """

    model_config = ConfigDict(frozen=True)

    code: str
    severity: Severity
    message: str
    count: int
    names: tuple[str, ...] = ()


class CheckReport(BaseModel):
    """Everything that was found at once. `counts[split][class]` is a number of pictures."""

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

    @property
    def blocks_training(self) -> bool:
        """Whether training would go wrong."""
        return any(finding.severity == "error" for finding in self.findings)
