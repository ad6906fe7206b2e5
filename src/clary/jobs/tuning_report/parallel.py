"""Parallel coordinates: an axis for each parameter and for the objective, a line for each trial.

The figure is drawn twice, with its axes side by side for a wide page and below each other for a
narrow one; the stylesheet shows the one that fits.
"""

from __future__ import annotations

from dataclasses import dataclass

from clary.formats.tuning_record import TrialRecord
from clary.jobs.pages.drawing import Scale, line
from clary.jobs.pages.wording import percent
from clary.jobs.tuning_report.axes import Axis
from clary.jobs.tuning_report.findings import Findings
from clary.jobs.tuning_report.marks import Tick, shortened, without_overlap

MOST_AXES = 7
# Side by side: the whole figure, and what is kept free for names and for the outer labels.
WIDE, HIGH, TOP, BOTTOM, SIDE = 880.0, 330.0, 52.0, 30.0, 64.0
# Below each other: the figure's width, the distance of two axes and where the first one lies.
NARROW, STEP, FIRST, EDGE = 360.0, 74.0, 40.0, 26.0
# The heights of a label, and where on the objective's axis the trials without a value end.
LABEL = 15.0
NO_VALUE = 18.0


@dataclass(frozen=True)
class DrawnAxis:
    """An axis at `place`, from `start` to `end` the other way; `about` stands beside its name."""

    name: str
    shown_name: str
    about: str
    place: float
    start: float
    end: float
    ticks: tuple[Tick, ...]


@dataclass(frozen=True)
class TrialLine:
    """A trial's path; `tone` is how good it is in percent, or None where it failed."""

    number: int
    path: str
    tone: int | None
    best: bool


@dataclass(frozen=True)
class ParallelFigure:
    """The figure in one of its two forms; `upright` tells that its axes stand side by side."""

    upright: bool
    width: float
    height: float
    axes: tuple[DrawnAxis, ...]
    lines: tuple[TrialLine, ...]
    no_value: float | None


@dataclass(frozen=True)
class Parallel:
    """Both forms; `left_out` counts the least important parameters, for which is no room."""

    wide: ParallelFigure
    narrow: ParallelFigure
    left_out: int
    strength: float


def parallel(findings: Findings) -> Parallel | None:
    """The figure; None where no trial has a value."""
    if not findings.judged:
        return None
    axes = findings.axes[:MOST_AXES]
    count = len(findings.judged) + len(findings.failed)
    return Parallel(
        wide=_side_by_side(findings, axes),
        narrow=_below_each_other(findings, axes),
        left_out=len(findings.axes) - len(axes),
        strength=min(max(18 / count, 0.4), 0.85),
    )


def _side_by_side(findings: Findings, axes: tuple[Axis, ...]) -> ParallelFigure:
    distance = (WIDE - 2 * SIDE) / len(axes)
    along = Scale(0, 1, HIGH - BOTTOM, TOP)
    objective = findings.objective
    y = Scale(objective.low, objective.high, HIGH - BOTTOM, TOP)
    drawn = [
        DrawnAxis(
            name=axis.name,
            shown_name=shortened(axis.name, min(distance, 2 * SIDE) - 8),
            about=_importance(findings, axis),
            place=SIDE + k * distance,
            start=TOP,
            end=HIGH - BOTTOM,
            ticks=_few(
                [Tick(along(t.place), shortened(t.text, distance - 14)) for t in axis.ticks()]
            ),
        )
        for k, axis in enumerate(axes)
    ]
    drawn.append(
        DrawnAxis(
            name=objective.readable,
            shown_name=shortened(objective.readable, min(distance, 2 * SIDE) - 8),
            about=f"{objective.best_end} is better",
            place=WIDE - SIDE,
            start=TOP,
            end=HIGH - BOTTOM,
            ticks=tuple(Tick(y(v), objective.tick(v)) for v in objective.ticks()),
        )
    )
    no_value = HIGH - BOTTOM + NO_VALUE
    return ParallelFigure(
        upright=True,
        width=WIDE,
        height=HIGH,
        axes=tuple(drawn),
        lines=_lines(
            findings, axes, drawn, along=along, objective=y, no_value=no_value, upright=True
        ),
        no_value=no_value if findings.failed else None,
    )


def _below_each_other(findings: Findings, axes: tuple[Axis, ...]) -> ParallelFigure:
    along = Scale(0, 1, EDGE, NARROW - EDGE)
    objective = findings.objective
    x = Scale(objective.low, objective.high, EDGE + (2 * NO_VALUE), NARROW - EDGE)
    drawn = [
        DrawnAxis(
            name=axis.name,
            shown_name=shortened(axis.name, 0.6 * NARROW),
            about=_importance(findings, axis),
            place=FIRST + k * STEP,
            start=EDGE,
            end=NARROW - EDGE,
            ticks=without_overlap(
                Tick(along(t.place), shortened(t.text, 90)) for t in axis.ticks()
            ),
        )
        for k, axis in enumerate(axes)
    ]
    drawn.append(
        DrawnAxis(
            name=objective.readable,
            shown_name=shortened(objective.readable, 0.6 * NARROW),
            about=f"{objective.best_end} is better",
            place=FIRST + len(axes) * STEP,
            start=EDGE + 2 * NO_VALUE,
            end=NARROW - EDGE,
            ticks=without_overlap(Tick(x(v), objective.tick(v)) for v in objective.ticks()),
        )
    )
    return ParallelFigure(
        upright=False,
        width=NARROW,
        height=FIRST + len(axes) * STEP + 26,
        axes=tuple(drawn),
        lines=_lines(findings, axes, drawn, along=along, objective=x, no_value=EDGE, upright=False),
        no_value=EDGE if findings.failed else None,
    )


def _lines(
    findings: Findings,
    axes: tuple[Axis, ...],
    drawn: list[DrawnAxis],
    *,
    along: Scale,
    objective: Scale,
    no_value: float,
    upright: bool,
) -> tuple[TrialLine, ...]:
    def path(trial: TrialRecord, end: float) -> str:
        heights: list[float | None] = []
        for axis in axes:
            value = trial.parameters.get(axis.name)
            place = None if value is None else axis.place(value)
            heights.append(None if place is None else along(place))
        points = [
            None if height is None else (at.place, height)
            for at, height in zip(drawn, [*heights, end], strict=True)
        ]
        return line(points if upright else [p and (p[1], p[0]) for p in points])

    failed = [
        TrialLine(trial.number, path(trial, no_value), None, best=False)
        for trial in findings.failed
    ]
    judged = [
        TrialLine(
            one.trial.number,
            path(one.trial, objective(findings.objective.clip(one.value))),
            findings.tone(one),
            best=one.trial.number == findings.record.best,
        )
        for one in findings.worst_first
    ]
    return (*failed, *judged)


def _importance(findings: Findings, axis: Axis) -> str:
    share = findings.record.importances.get(axis.name)
    return "" if share is None else f"matters {percent(share, 0)}"


def _few(ticks: list[Tick]) -> tuple[Tick, ...]:
    """Ticks of an upright axis with room for each: every second or third where there are many."""
    room = int((HIGH - TOP - BOTTOM) / LABEL)
    return tuple(ticks[:: -(-len(ticks) // room)])
