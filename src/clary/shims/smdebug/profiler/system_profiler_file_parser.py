"""Files of system metrics: a number of a machine on each line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple


class ProfilerSystemEvent(NamedTuple):
    """One number of a machine at one moment.

    `type` is such as `cpu`, `name` such as `cpu0`, `dimension` such as `CPUUtilization` (empty for
    memory and disks, as SageMaker has it), `timestamp` in seconds since 1970.
    """

    type: str
    name: str
    dimension: str
    value: float
    node_id: str
    timestamp: float


class SystemMetricsFile:
    """One file, read while it grows."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.events: list[ProfilerSystemEvent] = []
        self._read = 0

    def refresh(self) -> None:
        """Take in the lines that are whole and new; one that is damaged is passed over."""
        size = self.path.stat().st_size
        if size < self._read:
            self.events, self._read = [], 0
        if size == self._read:
            return
        with self.path.open("rb") as file:
            file.seek(self._read)
            content = file.read()
        whole = content.rfind(b"\n") + 1
        self._read += whole
        for line in content[:whole].splitlines():
            try:
                held = json.loads(line)
                self.events.append(
                    ProfilerSystemEvent(
                        held["Type"],
                        held.get("Name") or held["Type"],
                        held["Dimension"],
                        float(held["Value"]),
                        held["NodeId"],
                        float(held["Timestamp"]),
                    )
                )
            except (ValueError, KeyError, TypeError):
                continue
