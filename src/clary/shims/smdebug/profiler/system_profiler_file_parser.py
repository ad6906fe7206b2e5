"""Files of system metrics: a number of a machine on each line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

_NEEDED = {"Type", "Dimension", "Value", "NodeId", "Timestamp"}


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
        events = map(_event, _whole(content[:whole].splitlines()))
        self.events += [one for one in events if one is not None]


def _whole(lines: list[bytes]) -> Iterator[dict[str, Any]]:
    """What the lines hold, but for those that are damaged."""
    try:
        # All at once takes half as long.
        held = json.loads(b"[%s]" % b",".join(lines))
    except ValueError:
        held = [one for line in lines for one in _parsed(line)]
    return (one for one in held if isinstance(one, dict) and one.keys() >= _NEEDED)


def _parsed(line: bytes) -> list[Any]:
    try:
        return [json.loads(line)]
    except ValueError:
        return []


def _event(held: dict[str, Any]) -> ProfilerSystemEvent | None:
    """What a row says; None where its words are none, or its numbers."""
    kind, name = held["Type"], held.get("Name") or held["Type"]
    dimension, node = held["Dimension"], held["NodeId"]
    if not type(kind) is type(name) is type(dimension) is type(node) is str:
        return None
    try:
        value, timestamp = float(held["Value"]), float(held["Timestamp"])
    except (TypeError, ValueError, OverflowError):
        return None
    return ProfilerSystemEvent(kind, name, dimension, value, node, timestamp)
