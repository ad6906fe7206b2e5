"""What the figures draw of a trial, and the texts beside their axes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from clary.formats.tuning_record import TrialRecord
from clary.jobs.tuning_report.findings import Findings, Judged

# The width of a digit at the figures' 12 pixels.
CHARACTER = 6.7
Shape = Literal["dot", "early", "up", "down", "failed"]


@dataclass(frozen=True)
class Tick:
    """A position in the figure and what stands there."""

    place: float
    text: str


@dataclass(frozen=True)
class Mark:
    """A trial at a point.

    `shape` is a dot, a ring (stopped early), a triangle at the edge that its value lies beyond, or
    a cross (failed). `tone` is how good it is, in percent; `strength` how strongly it is drawn,
    from 0 to 1.
    """

    number: int
    x: float
    y: float
    shape: Shape
    tone: int
    best: bool = False
    strength: float = 1.0


def mark(findings: Findings, one: Judged, x: float, y: float, strength: float = 1.0) -> Mark:
    """A trial that ended with a value, at a point of a figure."""
    value, shown = one.value, findings.objective.clip(one.value)
    shape: Shape = "early" if one.trial.early_stopped else "dot"
    if value != shown:
        shape = "up" if value > shown else "down"
    return Mark(
        number=one.trial.number,
        x=x,
        y=y,
        shape=shape,
        tone=findings.tone(one),
        best=one.trial.number == findings.record.best,
        strength=strength,
    )


def cross(trial: TrialRecord, x: float, y: float) -> Mark:
    """A trial that failed, at a point of a figure."""
    return Mark(number=trial.number, x=x, y=y, shape="failed", tone=0)


def without_overlap(ticks: Iterable[Tick], gap: float = 8.0) -> tuple[Tick, ...]:
    """The ticks of a horizontal axis whose texts, each centred on its place, have room."""
    kept: list[Tick] = []
    end = float("-inf")
    for tick in ticks:
        half = CHARACTER * len(tick.text) / 2
        if tick.place - half >= end + gap:
            kept.append(tick)
            end = tick.place + half
    return tuple(kept)


def shortened(text: str, width: float) -> str:
    """A text cut to a width in pixels, with an ellipsis where something is missing."""
    most = max(int(width / CHARACTER), 2)
    return text if len(text) <= most else text[: most - 1] + "…"
