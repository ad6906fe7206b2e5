"""What stands behind curves: when a training evaluated, saved a checkpoint or began."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from ...trace_event_file_parser import TraceEvent
from .picture import PALETTE

_COLOURS = {
    "initialization": PALETTE[4],
    "evaluation": PALETTE[2],
    "checkpoint": PALETTE[1],
}
_PHASES = {
    "Initialization": "initialization",
    "Evaluation": "evaluation",
    "Step:ModeKeys.EVAL": "evaluation",
    "Checkpoint": "checkpoint",
}
_TOGETHER_S = 1.0


class Band(NamedTuple):
    """A time, in seconds since 1970."""

    label: str
    begin: float
    end: float
    colour: str


def bands_of(events: Iterable[TraceEvent], begin: float, end: float) -> list[Band]:
    """Bands within a time; those that nearly touch are one."""
    last: dict[str, Band] = {}
    found: list[Band] = []
    for one in sorted(events, key=lambda event: event.start_time):
        label = _PHASES.get(one.event_phase)
        if label is None:
            continue
        band = Band(
            label,
            max(begin, one.start_time / 1e6),
            min(end, one.end_time / 1e6),
            _COLOURS[label],
        )
        before = last.get(label)
        if before is not None and band.begin - before.end < _TOGETHER_S:
            last[label] = before._replace(end=max(before.end, band.end))
            continue
        if before is not None:
            found.append(before)
        last[label] = band
    return [*found, *last.values()]
