"""Slices: the objective against each parameter, on the parameter's scale."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median

from clary.formats.tuning_record import TrialRecord
from clary.jobs.pages.drawing import Scale
from clary.jobs.tuning_report.axes import Axis
from clary.jobs.tuning_report.findings import Findings
from clary.jobs.tuning_report.marks import Mark, Tick, cross, mark, shortened, without_overlap

WIDTH, HEIGHT = 320.0, 196.0
LEFT, RIGHT, TOP, BOTTOM = 48.0, 10.0, 10.0, 26.0
# How strongly the first trial is drawn; the last one is drawn in full.
FAINTEST = 0.5
# Successive multiples of the golden ratio's fraction spread evenly, however many there are.
_GOLDEN = 0.6180339887


@dataclass(frozen=True)
class Slice:
    """The figure of one parameter; `medians` are (left, right, height) for each of its values."""

    name: str
    importance: float | None
    scale: str | None
    marks: tuple[Mark, ...]
    medians: tuple[tuple[float, float, float], ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]


def slices(findings: Findings) -> tuple[Slice, ...]:
    """A figure for each parameter, the most important first; none where no trial has a value."""
    return tuple(_slice(findings, axis) for axis in findings.axes) if findings.judged else ()


def _slice(findings: Findings, axis: Axis) -> Slice:
    objective = findings.objective
    across = Scale(0, 1, LEFT, WIDTH - RIGHT)
    y = Scale(objective.low, objective.high, HEIGHT - BOTTOM, TOP)
    band = (WIDTH - RIGHT - LEFT) / len(axis.ticks()) if axis.scale is None else 0.0

    def place(trial: TrialRecord) -> float | None:
        value = trial.parameters.get(axis.name)
        found = None if value is None else axis.place(value)
        if found is None:
            return None
        return across(found) + band * 0.6 * ((trial.number * _GOLDEN) % 1 - 0.5)

    last = max(trial.number for trial in findings.record.trials)
    marks, heights = [], dict[str, list[float]]()
    for one in findings.worst_first:
        x = place(one.trial)
        if x is None:
            continue
        height = y(objective.clip(one.value))
        strength = FAINTEST + (1 - FAINTEST) * one.trial.number / last
        marks.append(mark(findings, one, x, height, strength))
        heights.setdefault(str(one.trial.parameters[axis.name]), []).append(height)
    for trial in findings.failed:
        x = place(trial)
        if x is not None:
            marks.append(cross(trial, x, HEIGHT - BOTTOM))
    ticks = [Tick(across(t.place), shortened(t.text, max(band, 90))) for t in axis.ticks(4)]
    return Slice(
        name=axis.name,
        importance=findings.record.importances.get(axis.name),
        scale=axis.scale,
        marks=tuple(marks),
        medians=tuple(
            (across(t.place) - 0.36 * band, across(t.place) + 0.36 * band, median(heights[t.text]))
            for t in axis.ticks()
            if band and len(heights.get(t.text, ())) > 1
        ),
        x_ticks=without_overlap(ticks),
        y_ticks=tuple(Tick(y(value), objective.tick(value)) for value in objective.ticks()),
    )
