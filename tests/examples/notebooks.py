"""A notebook as a file: its cells, the stage that each belongs to, and what has come of it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

_TAG = "stage:"


@dataclass(frozen=True)
class Notebook:
    """A notebook that is looked at, before or after it was run."""

    path: Path

    @cached_property
    def content(self) -> dict[str, Any]:
        """The file."""
        content: dict[str, Any] = json.loads(self.path.read_text())
        return content

    @property
    def code(self) -> list[dict[str, Any]]:
        """The cells that are run."""
        return [cell for cell in self.content["cells"] if cell["cell_type"] == "code"]

    @property
    def title(self) -> str:
        """Its first heading."""
        lines = "".join("".join(cell["source"]) + "\n" for cell in self.content["cells"])
        return next(line for line in lines.splitlines() if line.startswith("# "))[2:].strip()

    @property
    def seconds(self) -> dict[str, float]:
        """How long each stage took, over all of its cells that have run."""
        sums: dict[str, float] = {}
        for cell in self.code:
            times = cell["metadata"].get("execution", {})
            if {"iopub.execute_input", "shell.execute_reply"} <= set(times):
                began, ended = (
                    datetime.fromisoformat(times[name].replace("Z", "+00:00"))
                    for name in ("iopub.execute_input", "shell.execute_reply")
                )
                for stage in stages_of(cell):
                    sums[stage] = sums.get(stage, 0.0) + (ended - began).total_seconds()
        return sums

    @property
    def text(self) -> str:
        """All that its cells have printed or shown as text."""
        parts = []
        for output in self.outputs:
            if output["output_type"] == "stream":
                parts.append("".join(output["text"]))
            elif "text/plain" in output.get("data", {}):
                parts.append("".join(output["data"]["text/plain"]) + "\n")
        return "".join(parts)

    @property
    def pictures(self) -> int:
        """How many of its outputs are pictures."""
        return sum("image/png" in output.get("data", {}) for output in self.outputs)

    @property
    def outputs(self) -> list[dict[str, Any]]:
        """What its cells have given out."""
        return [output for cell in self.code for output in cell["outputs"]]


def stages_of(cell: dict[str, Any]) -> list[str]:
    """The stages that a cell is tagged with."""
    tags = cell["metadata"].get("tags", [])
    return [tag.removeprefix(_TAG) for tag in tags if tag.startswith(_TAG)]
